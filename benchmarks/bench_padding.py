"""What padding costs: batches of like lengths beside random ones, and beside a fixed length.

Three ways to make an epoch's batches of the same texts, for the same encoder:

- fixed: rows at random, every text padded to the limit
- longest of random: rows at random, padded to the longest of their batch
- bucketed: what training does, rows of like length together and padded to the longest

A step is forward, backward and the optimiser. The share of real tokens is exact; seconds of an
epoch are those of some of its batches, spread evenly over their lengths, times what they stand for.

    python benchmarks/bench_padding.py [--device cuda] [--clock cpu]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from _dialogsum import dialogsum_split
from _harness import CLOCKS, Report, Timing, interleaved
from _unsmile import READ, make_tokenizer, unsmile_split
from seqtune.batching import Rows, TrainOrder
from seqtune.core.resolve import Layer, resolve, unflatten
from seqtune.core.seeds import derive_seed
from seqtune.tasks.classify.model import TextClassifier
from seqtune.tasks.classify.params import ClassifyConfig, ModelConfig
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.text.tokens import Tokens, encoder_of, num_closing, write_tokens

NUM_LABELS = 10


@dataclass(frozen=True)
class Work:
    """Texts, and how they are read."""

    name: str
    texts: Callable[[Path], Sequence[str]]
    limit: int
    batch_size: int


@dataclass(frozen=True)
class Epoch:
    """Batches of one way, and what they are padded to."""

    batches: Sequence[Rows]
    times: Sequence[int]

    @property
    def computed(self) -> int:
        """Tokens, padding included."""
        return sum(len(rows) * time for rows, time in zip(self.batches, self.times, strict=True))

    def sample(self, number: int) -> list[tuple[Rows, int]]:
        """So many batches at even steps through their lengths."""
        order = np.argsort(self.times, kind="stable")
        places = ((np.arange(number) + 0.5) * len(order) / number).astype(int)
        return [(self.batches[n], self.times[n]) for n in order[places].tolist()]


def main() -> None:
    arguments = parse_arguments()
    if arguments.device == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
    report = Report("padding", title="What padding costs")
    report.text(
        f"{arguments.device}, a BERT of {arguments.layers} layers of {arguments.hidden} with "
        f"random weights, fp32, WordPiece of {arguments.vocabulary} learnt from the texts. An "
        f"epoch's seconds ({arguments.clock} clock) from {arguments.batches} of its batches, the "
        f"three ways in turn, {arguments.times} repeats."
    )
    for work in WORKS:
        with tempfile.TemporaryDirectory() as folder:
            report.text(f"## {work.name}")
            report.table(*measured(work, Path(folder), arguments))
    report.write()


def unsmile(folder: Path) -> Sequence[str]:
    config = resolve(ClassifyConfig, Layer("read", unflatten(READ)), root="classify").config
    return unsmile_split(folder, config).texts("train")


def dialogsum(folder: Path) -> Sequence[str]:
    return dialogsum_split(folder, SummarizeConfig()).dialogues("train")


WORKS = (
    Work("UnSmile, at most 128 tokens, batches of 16", unsmile, 128, 16),
    Work("DialogSum's dialogues, at most 512 tokens, batches of 8", dialogsum, 512, 8),
)


def measured(
    work: Work, folder: Path, arguments: argparse.Namespace
) -> tuple[list[str], list[list[str]]]:
    texts = work.texts(folder)
    tokenizer = make_tokenizer(list(texts), size=arguments.vocabulary)
    write_tokens(
        folder, texts, encoder_of(tokenizer), limit=work.limit, keep_last=num_closing(tokenizer)
    )
    tokens = Tokens.open(folder)
    epochs = ways(tokens.lengths, work)
    training = Training(tokens, tokenizer, arguments)
    samples = {name: epoch.sample(arguments.batches) for name, epoch in epochs.items()}
    timings = interleaved(
        {name: partial(training.steps, sample) for name, sample in samples.items()},
        times=arguments.times,
        clock=CLOCKS[arguments.clock],
    )
    real, slowest = int(tokens.lengths.sum()), timings["fixed"].median
    rows = []
    for name, epoch in epochs.items():
        whole = scaled(timings[name], len(epoch.batches) / arguments.batches)
        faster = f"{slowest / timings[name].median:.2f} x"
        rows.append([name, f"{real / epoch.computed:.3f}", str(whole), faster])
    return ["batches", "share of real tokens", "one epoch", "as fast as fixed"], rows


def ways(lengths: Rows, work: Work) -> dict[str, Epoch]:
    """The first epoch of each."""
    random = np.random.default_rng(derive_seed(0, "padding")).permutation(len(lengths))
    drawn = np.array_split(random, -(-len(lengths) // work.batch_size))
    bucketed = TrainOrder(lengths, batch_size=work.batch_size, seed=0).batches()
    return {
        "fixed": Epoch(drawn, [work.limit] * len(drawn)),
        "longest of random": Epoch(drawn, longest(drawn, lengths)),
        "bucketed": Epoch(bucketed, longest(bucketed, lengths)),
    }


def longest(batches: Sequence[Rows], lengths: Rows) -> list[int]:
    return [int(lengths[rows].max()) for rows in batches]


class Training:
    """The plainest loop over batches of tokens; what the labels are costs nothing."""

    def __init__(self, tokens: Tokens, tokenizer: Any, arguments: argparse.Namespace) -> None:
        self.tokens = tokens
        self.device = torch.device(arguments.device)
        torch.manual_seed(0)
        config = ModelConfig(gradient_checkpointing=False, pooling="first")
        encoder = make_encoder(tokenizer, arguments)
        self.model = TextClassifier(encoder, config, num_labels=NUM_LABELS).to(self.device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def steps(self, batches: Sequence[tuple[Rows, int]]) -> None:
        for rows, time in batches:
            ids, real = self.tokens.padded(rows, pad=self.model.pad)
            wider = ((0, 0), (0, time - ids.shape[1]))
            self.step(np.pad(ids, wider, constant_values=self.model.pad), np.pad(real, wider))
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def step(self, ids: np.ndarray, real: np.ndarray) -> None:
        logits = self.model(*(torch.from_numpy(one).to(self.device) for one in (ids, real)))
        loss = functional.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def make_encoder(tokenizer: Any, arguments: argparse.Namespace) -> Any:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=max(1, arguments.hidden // 64),
        intermediate_size=4 * arguments.hidden,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
    )
    return BertModel(config, add_pooling_layer=False)


def scaled(timing: Timing, factor: float) -> Timing:
    return Timing(tuple(factor * seconds for seconds in timing.seconds))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: one thread's")
    parser.add_argument("--batches", type=int, default=8, help="measured of each epoch")
    parser.add_argument("--times", type=int, default=5, help="repeats")
    parser.add_argument("--hidden", type=int, default=128, help="width of the encoder")
    parser.add_argument("--layers", type=int, default=2, help="depth of the encoder")
    parser.add_argument("--vocabulary", type=int, default=8000, help="pieces of the tokeniser")
    return parser.parse_args()


if __name__ == "__main__":
    main()
