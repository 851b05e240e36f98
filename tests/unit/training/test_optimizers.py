"""Rates and decay against numbers worked out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from torch import nn

from seqtune.contracts.config import RunConfig, TrainingConfig
from seqtune.contracts.reads import watched
from seqtune.training.optimizers import (
    Schedule,
    StepCount,
    build_optimizer,
    configure_optimizers,
)


def factors(steps: int, *, steps_per_epoch: int = 5, **options: Any) -> list[float]:
    schedule = Schedule(TrainingConfig(**options))
    schedule.steps_per_epoch = steps_per_epoch
    return [schedule(step) for step in range(steps)]


def test_none_is_constant() -> None:
    assert factors(10, epochs=2) == [1.0] * 10


def test_warm_up_rises_from_0_in_equal_steps() -> None:
    assert factors(6, epochs=2, warmup_ratio=0.4) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_linear_falls_to_0_after_the_warm_up() -> None:
    expected = [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]
    assert factors(11, epochs=2, warmup_ratio=0.2, scheduler="linear") == expected


def test_cosine_passes_its_known_points() -> None:
    values = factors(13, epochs=3, steps_per_epoch=4, scheduler="cosine")
    assert values[0] == 1.0
    assert math.isclose(values[4], 0.75)  # cos(pi/3) = 1/2
    assert math.isclose(values[6], 0.5)
    assert math.isclose(values[8], 0.25)
    assert math.isclose(values[12], 0.0, abs_tol=1e-12)


def test_step_falls_by_its_factor_every_so_many_epochs() -> None:
    options = {"scheduler": "step", "step_size_epochs": 2, "step_gamma": 0.1, "epochs": 6}
    values = factors(12, steps_per_epoch=2, **options)
    assert values == pytest.approx([1.0] * 4 + [0.1] * 4 + [0.01] * 4)


def test_torch_applies_the_factor_of_each_step_to_the_rate() -> None:
    module = nn.Linear(2, 2)
    config = TrainingConfig(lr=0.4, epochs=1, scheduler="linear", warmup_ratio=0.5)
    schedule = Schedule(config)
    configured = configure_optimizers(module, config=config, schedule=schedule)
    schedule.steps_per_epoch = 4
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        module(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.0, 0.2, 0.4, 0.2])
    assert configured["lr_scheduler"]["interval"] == "step"


def test_a_constant_rate_needs_no_scheduler() -> None:
    config = TrainingConfig()
    configured = configure_optimizers(nn.Linear(2, 2), config=config, schedule=Schedule(config))
    assert set(configured) == {"optimizer"}


def test_only_matrices_decay_and_frozen_parameters_are_left_out() -> None:
    module = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    module[3].requires_grad_(False)
    decayed, spared = build_optimizer(module, TrainingConfig(weight_decay=0.3)).param_groups
    assert decayed["weight_decay"] == 0.3
    assert [p.shape for p in decayed["params"]] == [(5, 4), (4, 4)]
    assert spared["weight_decay"] == 0.0
    assert [p.shape for p in spared["params"]] == [(4,), (4,), (4,)]


@pytest.mark.parametrize("name", ["adamw", "adam"])
def test_settings_reach_the_optimiser(name: str) -> None:
    config = TrainingConfig(optimizer=name, lr=0.2, beta1=0.8, beta2=0.95, eps=1e-6)
    optimizer = build_optimizer(nn.Linear(2, 2), config)
    assert type(optimizer).__name__.lower() == name
    assert optimizer.defaults["lr"] == 0.2
    assert optimizer.defaults["betas"] == (0.8, 0.95)
    assert optimizer.defaults["eps"] == 1e-6


def test_under_fp16_the_optimiser_leaves_unscaling_to_the_scaler() -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), TrainingConfig(precision="fp16"))
    assert not optimizer.defaults["fused"]


def test_steps_of_the_warm_up_count_instead_of_their_share() -> None:
    values = factors(5, epochs=2, warmup_ratio=0.4, warmup_steps=2)
    assert values == [0.0, 0.5, 1.0, 1.0, 1.0]
    assert factors(3, epochs=2, warmup_ratio=0.4, warmup_steps=0) == [1.0, 1.0, 1.0]


def test_a_warm_up_longer_than_the_run_is_told(caplog: pytest.LogCaptureFixture) -> None:
    schedule = Schedule(TrainingConfig(epochs=2, warmup_steps=11))
    trainer = SimpleNamespace(num_training_batches=10)
    StepCount(schedule, accumulate=2).on_train_start(trainer, nn.Identity())  # type: ignore[arg-type]
    assert schedule.total == 10
    assert "training.warmup_steps=11 is more than the 10 steps" in caplog.text


def test_polynomial_falls_by_its_power() -> None:
    values = factors(5, epochs=1, steps_per_epoch=4, scheduler="polynomial", power=2.0)
    assert values == [1.0, 0.5625, 0.25, 0.0625, 0.0]
    line = factors(5, epochs=1, steps_per_epoch=4, scheduler="polynomial", power=1.0)
    assert line == factors(5, epochs=1, steps_per_epoch=4, scheduler="linear")


def test_cosine_with_restarts_goes_through_it_that_often() -> None:
    values = factors(9, epochs=2, steps_per_epoch=4, scheduler="cosine_with_restarts", restarts=2)
    half = factors(4, epochs=1, steps_per_epoch=4, scheduler="cosine")
    assert values == pytest.approx([*half, *half, 0.0])
    once = factors(9, epochs=2, steps_per_epoch=4, scheduler="cosine_with_restarts", restarts=1)
    assert once == factors(9, epochs=2, steps_per_epoch=4, scheduler="cosine")


def test_sgd_has_its_momentum_and_adafactor_its_rate_and_decay() -> None:
    sgd = build_optimizer(nn.Linear(2, 2), TrainingConfig(optimizer="sgd", lr=0.2, beta1=0.8))
    assert type(sgd) is torch.optim.SGD
    assert (sgd.defaults["lr"], sgd.defaults["momentum"]) == (0.2, 0.8)
    config = TrainingConfig(optimizer="adafactor", lr=0.1, weight_decay=0.3)
    adafactor = build_optimizer(nn.Linear(2, 2), config)
    assert type(adafactor) is torch.optim.Adafactor
    assert adafactor.param_groups[0]["weight_decay"] == 0.3
    assert adafactor.defaults["lr"] == 0.1


@pytest.mark.parametrize("name", get_args(TrainingConfig.model_fields["optimizer"].annotation))
def test_every_optimiser_learns_and_repeats_itself(name: str) -> None:
    def last_loss() -> float:
        torch.manual_seed(1)
        module, x = nn.Linear(4, 1), torch.randn(16, 4)
        optimizer = build_optimizer(module, TrainingConfig(optimizer=name, lr=0.05))
        losses = []
        for _ in range(30):
            optimizer.zero_grad()
            loss = ((module(x) - x.sum(1, keepdim=True)) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.5 * losses[0]
        return losses[-1]

    assert last_loss() == last_loss()


NEVER_READ = {
    "adafactor": {"beta1", "beta2", "eps"},
    "sgd": {"beta2", "eps"},
    "adam": set(),
    "adamw": set(),
}
SHAPES = {
    "cosine_with_restarts": {"restarts"},
    "polynomial": {"power"},
    "step": {"step_size_epochs", "step_gamma"},
}


@pytest.mark.parametrize("name", NEVER_READ)
def test_an_optimiser_reads_what_it_has_a_use_for(name: str) -> None:
    config, reads = watched(RunConfig(task="toy", training=TrainingConfig(optimizer=name)))
    build_optimizer(nn.Linear(2, 2), config.training)
    of_it = {"lr", "weight_decay", "beta1", "beta2", "eps"} - NEVER_READ[name]
    assert {key.removeprefix("training.") for key in reads} >= of_it
    assert not {f"training.{key}" for key in NEVER_READ[name]} & reads


@pytest.mark.parametrize("name", get_args(TrainingConfig.model_fields["scheduler"].annotation))
@pytest.mark.parametrize("steps", [None, 3])
def test_a_schedule_reads_what_gives_it_its_shape(name: str, steps: int | None) -> None:
    training = TrainingConfig(scheduler=name, warmup_steps=steps)
    config, reads = watched(RunConfig(task="toy", training=training))
    schedule = Schedule(config.training)
    schedule.steps_per_epoch = 10
    schedule(5)
    of_shapes = {key for keys in SHAPES.values() for key in keys}
    of_warmup = {"warmup_steps"} if steps else {"warmup_steps", "warmup_ratio"}
    read = {key.removeprefix("training.") for key in reads}
    assert read & of_shapes == SHAPES.get(name, set())
    assert read & {"warmup_steps", "warmup_ratio"} == of_warmup
