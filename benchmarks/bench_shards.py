"""What a language model with adapters takes of each device, whole (DDP) and cut (fsdp).

A Llama with random weights and LoRA, on some dialogues of DialogSum, shared by processes of this
machine, in turns. Weights are what a process holds after training; a GPU's peak is told beside.

    python benchmarks/bench_shards.py [--device cuda --hidden 4096] [--rows 64] [--times 3]
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from _crew import first_rank_says
from _dialogsum import FILES
from _harness import Report, Timing, shared_data, show
from seqtune.core.execution import RankInfo
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.module import build_module
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.training import fit
from seqtune.training.precision import best_precision

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from tiny_models import make_llama

FINGERPRINT = "0" * 16
MIB = float(1 << 20)


@dataclass(frozen=True)
class Way:
    """How processes share a training."""

    num_ranks: int
    strategy: str

    def __str__(self) -> str:
        return "one process" if self.num_ranks == 1 else f"{self.num_ranks}, {self.strategy}"


def main() -> None:
    arguments = parse_arguments()
    ways = [Way(1, "auto"), *(Way(arguments.ranks, name) for name in ("auto", "fsdp"))]
    report = Report("shards", title="A language model with adapters, whole and cut")
    report.text(
        f"{arguments.device}, {best_precision(arguments.device)[0]}, Llama of {arguments.hidden} "
        f"hidden units with LoRA; seconds of an epoch of {arguments.rows} dialogues in batches of "
        f"{arguments.batch}, {arguments.times} runs in turns"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = prepare(folder, arguments)
        found: dict[Way, list[tuple[float, float, float, float]]] = {way: [] for way in ways}
        for turn in range(arguments.times):
            for way in ways:
                found[way].append(
                    first_rank_says(
                        train,
                        way.num_ranks,
                        config=configuration(model, way, arguments),
                        split=folder / "split",
                        folder=folder / f"{way}-{turn}",
                    )
                )
    head = ("processes", "an epoch", "of one process", "weights, MiB", "peak, MiB", "train_loss")
    report.table(head, rows(found))
    report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=32, help="dialogues of an epoch")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--times", type=int, default=3, help="repeats")
    return parser.parse_args()


def prepare(folder: Path, arguments: argparse.Namespace) -> Path:
    """A split of the first dialogues, all to train on, and a model whose tokeniser knows them."""
    given = shared_data() / "summarize" / FILES["dialogues"]
    few = folder / "few.jsonl"
    with given.open(encoding="utf-8") as lines:
        few.write_text("".join(islice(lines, arguments.rows)), encoding="utf-8")
    everything = SummarizeConfig.model_validate(
        {"model": {"name": "none"}, "split": {"use_full_data": True, "test_share": 0.0}}
    )
    TASK.ingest({"dialogues": (few,)}, everything, out=made(folder / "ingested"))
    TASK.split(folder / "ingested", everything, out=made(folder / "split"))
    data = SummarizeData.open(folder / "split")
    return make_llama(folder / "model", data.dialogues("train"), hidden=arguments.hidden)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def configuration(model: Path, way: Way, arguments: argparse.Namespace) -> SummarizeConfig:
    return SummarizeConfig.model_validate(
        {
            "model": {"name": str(model), "lora": {"enabled": True, "r": 16, "alpha": 32.0}},
            "training": {
                "strategy": way.strategy,
                "accelerator": arguments.device,
                "precision": best_precision(arguments.device)[0],
                "num_threads": 1 if arguments.device == "cpu" else "auto",
                "batch_size": arguments.batch,
                "accumulate_grad_batches": 1,
                "epochs": 2,
            },
        }
    )


def train(
    place: RankInfo, *, config: SummarizeConfig, split: Path, folder: Path
) -> tuple[float, float, float, float]:
    """What a rank does: seconds, MiB of weights, MiB at most, and loss of the last epoch."""
    torch.set_num_threads(1)
    built: list[Any] = []

    def keep(*given: Any) -> Any:
        built.append(build_module(*given))
        return built[0]

    result = fit(
        replace(TASK, build_module=keep),
        config,
        SummarizeData.open(split),
        directory=folder,
        fingerprint=FINGERPRINT,
        progress=False,
        launched=place,
    )
    held = [getattr(p, "to_local", p.detach)() for p in built[0].parameters()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in held) / MIB
    peak = torch.cuda.max_memory_allocated() / MIB if torch.cuda.is_available() else float("nan")
    return result.history[-1]["seconds"], weights, peak, result.history[-1]["train_loss"]


def rows(found: dict[Way, list[tuple[float, float, float, float]]]) -> list[list[str]]:
    timings = {way: Timing(tuple(one[0] for one in of_way)) for way, of_way in found.items()}
    whole = next(iter(timings.values())).median
    told = []
    for way, timing in timings.items():
        _, *last = found[way][-1]
        measured = ["-" if math.isnan(one) else show(one) for one in last]
        told.append([str(way), str(timing), f"{timing.median / whole:.2f}", *measured])
    return told


if __name__ == "__main__":
    main()
