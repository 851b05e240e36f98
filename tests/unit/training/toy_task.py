"""A toy task for the tests of `training`: a small network with dropout on made-up numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn

from seqtune.batching import mean_over_ranks, place_among_ranks
from seqtune.core.config import RunConfig, TrainingConfig
from seqtune.core.seeds import derive_seed
from seqtune.core.task import TaskSpec

FEATURES = 6


@dataclass
class ToyData:
    rows: int = 40
    has_validation: bool = True
    content_hash: str = "c" * 8
    assets_hash: str = "a" * 8
    seconds_per_batch: float = 0.0
    dropout: float = 0.3
    arrives_in_eval: bool = False
    poison_at: tuple[int, int] | None = None
    """Epoch and batch, from 0, whose loss is made not a number."""
    poisoned_rank: int = 0
    events: Path | None = None
    gradient_norms: list[float] = field(default_factory=list)
    x: torch.Tensor = field(init=False)
    y: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(self.rows, FEATURES, generator=generator)
        self.y = self.x.sum(1, keepdim=True) + 0.1 * torch.randn(self.rows, 1, generator=generator)

    def order(self, *, seed: int, epoch: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
        return torch.randperm(self.rows, generator=generator)

    def write_assets(self, directory: Path, config: RunConfig) -> None:
        (directory / "toy.json").write_text(json.dumps({"features": FEATURES}))


class EpochSampler:
    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class ToyLoader:
    """Shuffled by (seed, epoch); knows its position, as Lightning's Stateful protocol asks.

    Ranks share what is trained on, and each validates everything.
    """

    def __init__(self, data: ToyData, config: RunConfig, *, shuffle: bool) -> None:
        self.data, self.config, self.shuffle = data, config, shuffle
        self.sampler = EpochSampler()
        self.batch_sampler = None  # Lightning looks for it beside `sampler`
        self.position = self.resume_at = 0

    def __len__(self) -> int:
        return -(-self.data.rows // self.config.training.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Lazy: Lightning makes iterators that it throws away, and never exhausts one."""
        start, self.resume_at = self.resume_at, 0
        order = torch.arange(self.data.rows)
        if self.shuffle:
            order = self.data.order(seed=self.config.seed, epoch=self.sampler.epoch)
        pieces = order.split(self.config.training.batch_size)
        for self.position in range(start + 1, len(pieces) + 1):
            rows = pieces[self.position - 1]
            if self.shuffle:
                rank, world_size = place_among_ranks()
                rows = rows[rank::world_size]
            yield self.data.x[rows], self.data.y[rows]

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position, "epoch": self.sampler.epoch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.resume_at = state["position"]
        self.sampler.epoch = state["epoch"]


class ToyDataModule(LightningDataModule):
    def __init__(self, data: ToyData, config: RunConfig) -> None:
        super().__init__()
        self.data, self.config = data, config

    def train_dataloader(self) -> ToyLoader:
        return ToyLoader(self.data, self.config, shuffle=True)

    def val_dataloader(self) -> ToyLoader:
        return ToyLoader(self.data, self.config, shuffle=False)


class ToyModule(LightningModule):
    def __init__(self, data: ToyData) -> None:
        super().__init__()
        self.data = data
        layers = [nn.Linear(FEATURES, 16), nn.LayerNorm(16), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Dropout(data.dropout), nn.Linear(16, 1))

        self.train(not data.arrives_in_eval)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Lightning calls this after the callbacks: gradients as the optimiser will use them."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        self.data.gradient_norms.append(torch.nn.utils.get_total_norm(gradients).item())

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.data.events is not None:
            with self.data.events.open("a") as file:
                file.write(f"{self.current_epoch} {batch_idx}\n")
        time.sleep(self.data.seconds_per_batch)
        x, y = batch
        loss = nn.functional.mse_loss(self.net(x).float(), y)
        here = (self.current_epoch, batch_idx)
        if self.global_rank == self.data.poisoned_rank and here == tuple(self.data.poison_at or ()):
            loss = loss * float("nan")
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(x))
        return mean_over_ranks(loss, len(x))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        loss = nn.functional.mse_loss(self.net(x).float(), y)
        self.log("val_loss", loss, batch_size=len(x))
        self.log("val_epoch", float(self.current_epoch), batch_size=len(x))
        self.log("val_mean", self.net(x).float().mean(), batch_size=len(x))


def toy_spec(data: ToyData) -> TaskSpec:
    def unused(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("training asked for something that is not its affair")

    return TaskSpec(
        name="toy",
        sources=(),
        ingested="rows",
        parse_parameters=unused,
        ingest=unused,
        split=unused,
        open_data=unused,
        build_module=lambda config, data: ToyModule(data),
        build_data=lambda config, data: ToyDataModule(data, config),
        estimate_memory=unused,
        evaluate=unused,
        open_pool=unused,
        predict=unused,
    )


def toy_config(seed: int = 7, **training: Any) -> RunConfig:
    values = {"epochs": 3, "batch_size": 8, "precision": "fp32", "accelerator": "cpu", **training}
    return RunConfig(task="toy", seed=seed, training=TrainingConfig(**values))
