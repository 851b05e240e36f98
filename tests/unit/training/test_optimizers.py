"""Rates and decay against numbers worked out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from torch import nn

from seqtune.core.config import RunConfig, TrainingConfig, has_effect
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


ADAM_VALUES = {"beta1": 0.5, "beta2": 0.5, "eps": 0.5}
SHAPES = {"restarts": 3, "power": 3.0, "step_size_epochs": 1, "step_gamma": 0.1}


def declared(training: TrainingConfig, name: str) -> bool:
    return has_effect(RunConfig(task="toy", training=training), f"training.{name}")


@pytest.mark.parametrize("optimizer", get_args(TrainingConfig.model_fields["optimizer"].annotation))
@pytest.mark.parametrize("name", ADAM_VALUES)
def test_a_value_of_an_optimiser_has_an_effect_where_it_is_declared(
    optimizer: str, name: str
) -> None:
    config = TrainingConfig(optimizer=optimizer)
    changed = config.model_copy(update={name: ADAM_VALUES[name]})
    one, other = (build_optimizer(nn.Linear(2, 2), each).defaults for each in (config, changed))
    assert (one != other) is declared(config, name)


@pytest.mark.parametrize("scheduler", get_args(TrainingConfig.model_fields["scheduler"].annotation))
@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_of_a_schedule_has_an_effect_where_it_is_declared(
    scheduler: str, name: str
) -> None:
    values = {"epochs": 60, "steps_per_epoch": 1, "scheduler": scheduler}
    is_changed = factors(60, **values) != factors(60, **values, **{name: SHAPES[name]})
    assert is_changed is declared(TrainingConfig(scheduler=scheduler), name)


@pytest.mark.parametrize("steps", [None, 3])
def test_a_share_of_warm_up_has_an_effect_where_no_steps_are_given(steps: int | None) -> None:
    values = {"epochs": 10, "warmup_steps": steps}
    is_changed = factors(10, **values) != factors(10, **values, warmup_ratio=0.5)
    assert is_changed is declared(TrainingConfig(warmup_steps=steps), "warmup_ratio")


def test_a_class_that_overrides_a_field_inherits_its_condition() -> None:
    class OtherTraining(TrainingConfig):
        warmup_ratio: float = 0.3

    assert not declared(OtherTraining(warmup_steps=2), "warmup_ratio")
    assert declared(OtherTraining(), "warmup_ratio")
    assert not declared(TrainingConfig(early_stopping={"patience": 0}), "early_stopping.min_delta")
