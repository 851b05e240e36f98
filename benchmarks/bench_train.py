"""One epoch of training on MovieLens-1M: tokens a second, padding, and what the time goes into.

Hidden 64, 2 layers, 2 heads, length 200, batch 128, protocol P1, dropout 0.2, with and without
dropout on attention; cloze or causal. Two ratios:

- a step over its matrix products: the products that a step of 128 full sequences really carries
  out are recorded and repeated by themselves, with numbers of the same shapes, layouts and types;
- `training.fit` over a bare loop: the same model on the same batches with the same optimiser, the
  state saved after the epoch included, validation left out.

    python benchmarks/bench_train.py [--device cuda] [--precision fp32] [--clock cpu]
        [--objective causal]
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from _harness import CLOCKS, Clock, Report, Timing, interleaved, repeat, seconds_of, show
from _movielens import ml1m_split
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.datamodule import RecommendData
from seqtune.tasks.recommend.module import build_module
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import fit
from seqtune.training.optimizers import build_optimizer
from seqtune.training.precision import best_precision

LAYERS, LENGTH, BATCH = 2, 200, 128
AIM_PRODUCTS, AIM_LOOP, AIM_REAL = 1.8, 0.10, 0.95
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def main() -> None:
    arguments = parse_arguments()
    precision = arguments.precision or best_precision(arguments.device)[0]
    if arguments.device == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
    theme = "train" if arguments.objective == "cloze" else f"train_{arguments.objective}"
    report = Report(theme, title="Training on MovieLens-1M, one epoch")
    report.text(
        f"{arguments.objective}, {arguments.device}, {precision}, hidden 64, {LAYERS} layers, "
        f"2 heads, length {LENGTH}, batch {BATCH}; seconds of the {arguments.clock} clock"
    )
    with tempfile.TemporaryDirectory() as folder:
        data = without_validation(ml1m_split(Path(folder) / "split"), arguments.batches)
        for attention_dropout in (False, True):
            config = configuration(
                arguments.device, precision, attention_dropout, objective=arguments.objective
            )
            report.text(f"## {'With' if attention_dropout else 'Without'} dropout on attention")
            columns, rows = measure(config, data, Path(folder), arguments)
            report.table(columns, rows)
    if arguments.batches is None:
        report.write()
    else:
        print(report.markdown())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="default: what auto means")
    parser.add_argument("--objective", choices=["cloze", "causal"], default="cloze")
    parser.add_argument("--batches", type=int, help="try about so many; keeps no report")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: one thread's")
    parser.add_argument("--times", type=int, default=5, help="repeats")
    return parser.parse_args()


def configuration(
    device: str, precision: str, attention_dropout: bool, *, objective: str = "cloze"
) -> RecommendConfig:
    return RecommendConfig.model_validate(
        {
            "model": {
                "hidden_units": 64,
                "num_heads": 2,
                "num_layers": LAYERS,
                "max_len": LENGTH,
                "dropout_rate": 0.2,
                "attention_dropout": attention_dropout,
                "random_mask_prob": 0.15,
                "objective": objective,
            },
            "training": {
                "batch_size": BATCH,
                "epochs": 2,
                "precision": precision,
                "accelerator": device,
            },
        }
    )


def without_validation(data: SplitData, num_batches: int | None) -> SplitData:
    """The same training part, of as many users as make so many batches; nothing to validate."""
    users = np.random.default_rng(0).permutation(data.num_users)
    left_out = users[BATCH * num_batches :] if num_batches else users[:0]
    train_end = np.array(data.train_end)
    train_end[left_out] = 0
    nobody = np.full(data.num_users, -1, dtype=np.int32)
    return dataclasses.replace(data, train_end=train_end, valid_at=nobody, test_at=nobody)


def measure(
    config: RecommendConfig, data: SplitData, folder: Path, arguments: argparse.Namespace
) -> tuple[list[str], list[list[str]]]:
    """Rows of (what, value, aim)."""
    clock = CLOCKS[arguments.clock]
    loop = BareLoop(config, data)
    tokens, real = loop.count_tokens()
    bare, fitted = loop_timings(loop, folder, times=arguments.times, clock=clock)
    step, products = step_timings(config, data, times=4 * arguments.times, clock=clock)
    batches = repeat(lambda: deque(loop.loader, maxlen=0), times=arguments.times, clock=clock)
    per_second = real / bare.median
    overhead = fitted.median / bare.median - 1
    rows = [
        ["share of real tokens", f"{real / tokens:.3f}", f">= {AIM_REAL}"],
        ["one epoch, bare loop", str(bare), ""],
        ["one epoch, training.fit", str(fitted), ""],
        ["overhead of Lightning and our loop", f"{overhead:+.1%}", f"<= {AIM_LOOP:.0%}"],
        ["all batches of an epoch, made and dropped", str(batches), ""],
        ["real tokens a second, bare loop", f"{per_second:,.0f}", ""],
        ["real tokens a second, training.fit", f"{real / fitted.median:,.0f}", ""],
        ["one step of 128 x 200", str(step), ""],
        ["its matrix products alone", str(products), ""],
        ["step over products", show(step.median / products.median), f"<= {AIM_PRODUCTS}"],
    ]
    return ["what", "measured", "aim"], rows


def loop_timings(
    loop: BareLoop, folder: Path, *, times: int, clock: Clock
) -> tuple[Timing, Timing]:
    """Epochs of the bare loop and of `fit`, in turns; of `fit` the second epoch of two counts."""
    loop.epoch()
    bare, fitted = [], []
    for turn in range(times):
        bare.append(seconds_of(loop.epoch, clock=clock))
        ends: list[float] = []
        fit(
            TASK,
            loop.config,
            loop.data,
            directory=Path(tempfile.mkdtemp(dir=folder)),
            fingerprint=str(turn),
            report=lambda *_, ends=ends: ends.append(clock()),
            progress=False,
        )
        fitted.append(ends[1] - ends[0])  # saving the state after epoch 1 is in it
    return Timing(tuple(bare)), Timing(tuple(fitted))


class BareLoop:
    """The plainest loop: batch, masks, loss, gradients, clipping, step."""

    def __init__(self, config: RecommendConfig, data: SplitData) -> None:
        self.config = config
        self.data = data
        self.device = torch.device(config.training.accelerator)
        torch.manual_seed(0)
        self.module = build_module(config, data).to(self.device).train()
        self.optimizer = build_optimizer(self.module, config.training)
        self.loader = RecommendData(config, data).train_dataloader()

    def epoch(self) -> None:
        for number, batch in enumerate(self.loader):
            self.step(batch.to(self.device), number)
        synchronize(self.device)

    def step(self, items: Tensor, number: int = 0) -> None:
        dtype = AUTOCAST.get(self.config.training.precision)
        self.optimizer.zero_grad()
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            loss = self.module.training_step(items, number)
        loss.backward()  # type: ignore[no-untyped-call]
        clip = self.config.training.gradient_clip_val
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), clip)
        self.optimizer.step()

    def count_tokens(self) -> tuple[int, int]:
        """All that is computed, and what of it is not padding."""
        sizes = [(batch.numel(), int((batch > 0).sum())) for batch in self.loader]
        return sum(size[0] for size in sizes), sum(size[1] for size in sizes)


def step_timings(
    config: RecommendConfig, data: SplitData, *, times: int, clock: Clock
) -> tuple[Timing, Timing]:
    """A step of full sequences and its products alone, in turns."""
    loop = BareLoop(config, data)
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(1, data.num_items + 1, (BATCH, LENGTH), generator=generator)
    items = items.to(loop.device)

    def step() -> None:
        loop.step(items)
        synchronize(loop.device)

    with Products() as products:
        step()

    def alone() -> None:
        products.repeat()
        synchronize(loop.device)

    timings = interleaved({"step": step, "alone": alone}, times=times, warm_up=3, clock=clock)
    return timings["step"], timings["alone"]


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the matrix products of what runs under it, to repeat them by themselves."""

    NAMES = ("mm", "bmm", "addmm", "baddbmm")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work: list[Callable[[], Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.__name__.split(".")[0].strip("_")
        if name in self.NAMES:
            left, right = args[-2:]
            self._add(left, right)
        elif name.startswith("scaled_dot_product") or name == "flash_attention_backward":
            self._add_attention(args, backward="backward" in name)
        return func(*args, **(kwargs or {}))

    def repeat(self) -> None:
        for product in self.work:
            product()

    def _add(self, left: Tensor, right: Tensor) -> None:
        left, right = alike(left), alike(right)
        self.work.append(lambda: left @ right)

    def _add_attention(self, args: Any, *, backward: bool) -> None:
        """Scores and mixture; on the way back, two for each, and scores once more."""
        query, key, value = args[1:4] if backward else args[:3]
        weights = query @ key.transpose(-2, -1)
        for _ in range(2 if backward else 1):
            self._add(query, key.transpose(-2, -1))
            self._add(weights, value)
        if backward:
            self._add(weights.transpose(-2, -1), query)


def alike(tensor: Tensor) -> Tensor:
    """Other numbers in the same shape, layout and type."""
    other = torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device
    )
    return other.normal_()


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
