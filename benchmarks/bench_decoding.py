"""Decoding search on one trained checkpoint: with encoder outputs that are kept, and without.

Both sides decode the same rows under the same settings, in turn; the texts must be equal. Random
weights do: time depends on sizes and on how many tokens are written, which is fixed.

    python benchmarks/bench_decoding.py --rows 64 --repeats 5
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from _dialogsum import dialogsum_split, make_bart
from _harness import Report, Timing
from seqtune.tasks.summarize.decoder import encode, make_batches, pad_of, write_all
from seqtune.tasks.summarize.params import GenerationConfig, SummarizeConfig
from seqtune.text.pretrained import load_model, load_tokenizer

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"beams": 1},
    "4 beams": {"beams": 4},
    "8 beams": {"beams": 8},
    "drawn": {"beams": 1, "do_sample": True, "top_p": 0.9},
}


def main() -> None:
    arguments = parse_arguments()
    with TemporaryDirectory() as folder:
        found = measured(Path(folder), arguments)
    report = Report("decoding", title="Decoding search: encoder outputs kept against encoded again")
    report.text(
        f"{arguments.rows} dialogues of DialogSum's valid part (up to 512 tokens), batches of "
        f"{arguments.batch_size}, {arguments.new_tokens} tokens written of each, BART with "
        f"{arguments.layers} + {arguments.layers} layers of {arguments.hidden} and random weights, "
        f"on {arguments.device}. Each side in turn, {arguments.repeats} repeats; texts are equal."
    )
    report.table(
        ["decoding", "encoded again", "kept", "saved"],
        [
            [way, str(again), str(kept), f"{1 - kept.median / again.median:.0%}"]
            for way, (again, kept) in found.items()
        ],
    )
    report.write()


def measured(folder: Path, arguments: argparse.Namespace) -> dict[str, tuple[Timing, Timing]]:
    """Seconds of both sides, by way of decoding."""
    data = dialogsum_split(folder, SummarizeConfig())
    sizes = {name: getattr(arguments, name) for name in ("hidden", "layers", "vocabulary")}
    made = make_bart(folder / "bart", data, **sizes)
    tokenizer = load_tokenizer(made)
    model = load_model("AutoModelForSeq2SeqLM", made).to(arguments.device).eval()
    texts = data.dialogues("valid")[: arguments.rows]
    inputs = [ids[:512] for ids in tokenizer(texts)["input_ids"]]
    batches = make_batches(
        inputs,
        pad=pad_of(tokenizer),
        size=arguments.batch_size,
        kind="seq2seq",
        device=arguments.device,
    )
    kept = [replace(batch, encoded=encode(model, batch)) for batch in batches]
    most = arguments.new_tokens
    return {
        way: in_turn(
            (model, tokenizer),
            batches,
            kept,
            GenerationConfig(max_new_tokens=most, min_new_tokens=most, **said),
            repeats=arguments.repeats,
        )
        for way, said in WAYS.items()
    }


def in_turn(
    pair: tuple[Any, Any], batches: Any, kept: Any, settings: GenerationConfig, *, repeats: int
) -> tuple[Timing, Timing]:
    write_all(*pair, batches[:1], settings, kind="seq2seq")  # warm
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        texts = []
        for side, given in enumerate((batches, kept)):
            start = time.perf_counter()
            texts.append(write_all(*pair, given, settings, kind="seq2seq").texts)
            seconds[side].append(time.perf_counter() - start)
        if texts[0] != texts[1]:
            raise SystemExit(f"the two sides wrote different texts under {settings}")
    return Timing(tuple(seconds[0])), Timing(tuple(seconds[1]))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
