"""`training.fit`: what a run leaves behind, when it ends, and that it repeats itself."""

from __future__ import annotations

import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_task import FEATURES, ToyData, ToyModule, toy_config, toy_spec

import seqtune.training
from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.errors import ConfigurationError, StorageError, TrainingError
from seqtune.training import FitResult, fit


def train(directory: Path, data: ToyData | None = None, **options: Any) -> FitResult:
    data = data or ToyData()
    report = options.pop("report", lambda epoch, metrics: None)
    return fit(
        toy_spec(data),
        toy_config(**options),
        data,
        directory=directory,
        fingerprint="f" * 16,
        report=report,
        progress=False,
    )


def weights(result: FitResult, which: str) -> dict[str, torch.Tensor]:
    return load_file(result.checkpoint / f"{which}.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def metrics(result: FitResult) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]


def test_public_surface() -> None:
    assert seqtune.training.__all__ == [
        "FitResult",
        "StepProfile",
        "TrainingCosts",
        "available_memory_mib",
        "carry_over",
        "describe_device",
        "fit",
        "profile_steps",
        "resolve_auto",
        "values_for_full_data",
    ]


def test_leaves_a_complete_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    result = train(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint"]
    names = {str(p.relative_to(result.checkpoint)) for p in result.checkpoint.rglob("*")}
    assert names == {
        "best.safetensors",
        "last.safetensors",
        "history.json",
        "checkpoint.json",
        "assets",
        "assets/toy.json",
    }
    checkpoint = open_checkpoint(result.checkpoint)
    assert checkpoint.weights_path("best").is_file()
    assert checkpoint.weights_path("last").is_file()
    manifest = checkpoint.manifest
    assert (manifest.task, manifest.fingerprint, manifest.stopped) == ("toy", "f" * 16, "finished")
    assert (manifest.last.epoch, manifest.epochs_planned) == (3, 3)
    assert manifest.config == toy_config().model_dump(mode="json")
    assert manifest.best.metrics == result.best_metrics
    assert json.loads((result.checkpoint / "history.json").read_text()) == list(result.history)


def test_weights_have_the_permissions_of_other_new_files(tmp_path: Path) -> None:
    """safetensors creates files for their owner alone; a team shares checkpoints."""
    umask = os.umask(0o027)
    try:
        checkpoint = train(tmp_path / "run").checkpoint
    finally:
        os.umask(umask)
    files = [path for path in checkpoint.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o640}


def test_learns_and_keeps_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    data = ToyData()
    result = train(tmp_path, data, epochs=30, lr=0.03, weight_decay=0.0)
    losses = [row["val_loss"] for row in result.history]
    assert min(losses) < 0.5 * losses[0]
    assert result.best_epoch == 1 + losses.index(min(losses))
    assert result.best_epoch < 30, "the test needs a best epoch that is not the last"
    module = ToyModule(data).eval()
    module.load_state_dict(weights(result, "best"))
    loss = torch.nn.functional.mse_loss(module.net(data.x), data.y)
    assert math.isclose(loss.item(), result.best_metrics["val_loss"], rel_tol=1e-5)
    assert not same(weights(result, "best"), weights(result, "last"))


def test_train_loss_is_the_mean_over_the_steps(tmp_path: Path) -> None:
    """At a rate this small the weights stay, and without dropout every batch can be redone."""
    data = ToyData(dropout=0.0)
    result = train(tmp_path, data, epochs=1, batch_size=16, lr=1e-12)
    module = ToyModule(data)
    module.load_state_dict(weights(result, "last"))
    order = data.order(seed=7, epoch=0)
    with torch.no_grad():
        batches = [
            torch.nn.functional.mse_loss(module.net(data.x[rows]), data.y[rows])
            for rows in order.split(16)
        ]
    assert len(batches) == 3
    expected = sum(loss.item() for loss in batches) / 3
    assert math.isclose(result.history[0]["train_loss"], expected, rel_tol=1e-5)


def test_one_step_is_the_step_that_adamw_makes_by_hand(tmp_path: Path) -> None:
    """One batch without dropout or clipping: a weight decays and moves by lr * sign(gradient)."""
    data = ToyData(rows=8, dropout=0.0)
    options = {"epochs": 1, "lr": 0.1, "weight_decay": 0.5, "gradient_clip_val": 0.0, "eps": 1e-30}
    before = weights(train(tmp_path / "a", data, **{**options, "lr": 1e-30}), "last")
    after = weights(train(tmp_path / "b", data, **options), "last")
    module = ToyModule(data)
    module.load_state_dict(before)
    torch.nn.functional.mse_loss(module.net(data.x), data.y).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        decay = 1 - 0.1 * 0.5 if parameter.ndim == 2 else 1.0
        expected = before[name] * decay - 0.1 * parameter.grad.sign()
        torch.testing.assert_close(after[name], expected)


def test_clipping_bounds_the_norm_of_the_gradients(tmp_path: Path) -> None:
    data = ToyData(rows=8, dropout=0.0)
    train(tmp_path / "a", data, epochs=1, gradient_clip_val=0.25)
    assert math.isclose(data.gradient_norms[-1], 0.25, rel_tol=1e-3)
    train(tmp_path / "b", data, epochs=1, gradient_clip_val=0.0)
    assert data.gradient_norms[-1] > 1.0


def test_accumulating_two_halves_is_one_whole_batch(tmp_path: Path) -> None:
    data = ToyData(rows=16, dropout=0.0)
    whole = train(tmp_path / "a", data, epochs=2, batch_size=16)
    halves = train(tmp_path / "b", data, epochs=2, batch_size=8, accumulate_grad_batches=2)
    for name, tensor in weights(whole, "last").items():
        torch.testing.assert_close(weights(halves, "last")[name], tensor, rtol=1e-4, atol=1e-5)
    assert math.isclose(
        whole.history[0]["train_loss"], halves.history[0]["train_loss"], rel_tol=1e-5
    )


def test_overfits_one_batch(tmp_path: Path) -> None:
    data = ToyData(rows=4, dropout=0.0)
    result = train(tmp_path, data, epochs=200, lr=0.05, weight_decay=0.0, batch_size=4)
    assert result.history[-1]["train_loss"] < 0.01


def test_repeats_itself_bit_for_bit_whatever_was_drawn_before(tmp_path: Path) -> None:
    first = train(tmp_path / "a", lr=0.01)
    torch.manual_seed(1234)
    torch.rand(77)
    second = train(tmp_path / "b", lr=0.01)
    other = train(tmp_path / "c", lr=0.01, seed=8)
    assert same(weights(first, "last"), weights(second, "last"))
    assert metrics(first) == metrics(second)
    assert not same(weights(first, "last"), weights(other, "last"))


def test_gives_the_global_generators_and_switches_back(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(tmp_path, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_dropout_is_on_even_if_the_module_arrives_in_eval_mode(tmp_path: Path) -> None:
    on = train(tmp_path / "a", ToyData(), epochs=1)
    arrived_in_eval = train(tmp_path / "b", ToyData(arrives_in_eval=True), epochs=1)
    off = train(tmp_path / "c", ToyData(dropout=0.0), epochs=1)
    assert metrics(on) == metrics(arrived_in_eval) != metrics(off)


def test_bf16_trains_and_says_so(tmp_path: Path) -> None:
    result = train(tmp_path, epochs=2, precision="bf16")
    assert open_checkpoint(result.checkpoint).manifest.config["training"]["precision"] == "bf16"
    assert all(tensor.dtype == torch.float32 for tensor in weights(result, "last").values())


def test_auto_precision_is_written_down_as_what_it_became(tmp_path: Path) -> None:
    result = train(tmp_path, epochs=1, precision="auto")
    config = open_checkpoint(result.checkpoint).manifest.config
    assert config["training"]["precision"] in ("fp32", "bf16")


# when it ends


def test_stops_early_after_patience_validations_without_gain(tmp_path: Path) -> None:
    """The best is epoch 1; 2 and 3 are waited for; 4 never comes."""
    result = train(
        tmp_path,
        epochs=10,
        monitor="val_epoch",
        monitor_mode="min",
        early_stopping={"patience": 2},
    )
    assert (len(result.history), result.best_epoch) == (3, 1)
    assert result.stopped == "early stopping"
    assert open_checkpoint(result.checkpoint).manifest.stopped == "early stopping"


def test_patience_0_switches_early_stopping_off(tmp_path: Path) -> None:
    result = train(tmp_path, epochs=5, monitor="val_epoch", early_stopping={"patience": 0})
    assert (len(result.history), result.stopped) == (5, "finished")


def test_a_gain_below_min_delta_is_none_for_patience_but_counts_for_the_best(
    tmp_path: Path,
) -> None:
    result = train(
        tmp_path,
        epochs=9,
        monitor="val_epoch",
        monitor_mode="max",
        early_stopping={"patience": 2, "min_delta": 2.5},
    )
    assert (len(result.history), result.best_epoch) == (3, 3)


def test_report_hears_of_every_epoch_and_may_stop(tmp_path: Path) -> None:
    heard: list[tuple[int, float]] = []

    def report(epoch: int, row: Any) -> bool:
        heard.append((epoch, row["val_loss"]))
        return epoch == 2

    result = train(tmp_path, epochs=9, report=report)
    assert heard == [(row["epoch"], row["val_loss"]) for row in result.history]
    assert (len(result.history), result.stopped) == (2, "asked by the caller")


def test_an_exception_of_report_comes_through(tmp_path: Path) -> None:
    def report(epoch: int, row: Any) -> bool:
        raise LookupError("pruned")

    with pytest.raises(LookupError, match="pruned"):
        train(tmp_path, report=report)


def test_the_time_limit_ends_after_the_epoch_under_way(tmp_path: Path) -> None:
    result = train(tmp_path, epochs=9, max_minutes=1e-9)
    assert (len(result.history), result.stopped) == (1, "time limit")


def test_validating_every_second_epoch(tmp_path: Path) -> None:
    result = train(tmp_path, epochs=5, validate_every_epochs=2, monitor="val_epoch")
    assert ["val_loss" in row for row in result.history] == [False, True, False, True, False]
    assert result.best_epoch == 2


def test_ended_before_the_first_validation_the_last_epoch_is_the_best(tmp_path: Path) -> None:
    result = train(tmp_path, epochs=5, validate_every_epochs=4, max_minutes=1e-9)
    assert result.best_epoch == 1
    assert same(weights(result, "best"), weights(result, "last"))


def test_without_validation_the_last_epoch_is_the_best(tmp_path: Path) -> None:
    data = ToyData(has_validation=False)
    result = train(tmp_path, data, epochs=3, monitor="no_such_metric")
    assert result.best_epoch == 3
    assert set(result.history[0]) == {"epoch", "train_loss", "seconds"}
    assert same(weights(result, "best"), weights(result, "last"))


# what is refused


def test_a_monitored_metric_that_is_never_logged_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"training.monitor='val_los' was never logged; choose one of "
        r"train_loss, val_epoch, val_loss, val_mean$",
    ):
        train(tmp_path, monitor="val_los")


def test_validating_less_often_than_there_are_epochs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"validate_every_epochs=4 never validates"):
        train(tmp_path, epochs=3, validate_every_epochs=4)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    data = ToyData(poison_at=(1, 2))
    with pytest.raises(
        TrainingError,
        match=r"the loss became nan in epoch 2, step 3 \(learning rate 0.001, precision fp32\); "
        r"try a lower training.lr",
    ):
        train(tmp_path, data)
    assert not (tmp_path / "checkpoint").exists()


def test_a_strategy_that_starts_the_program_again_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="start the whole program"):
        train(tmp_path, strategy="ddp", devices=2)


def test_a_model_that_trains_all_of_its_weights_is_not_cut(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the models of this task have none; choose auto"):
        train(tmp_path, strategy="fsdp", devices=2)


def test_several_machines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"training\.num_nodes=2"):
        train(tmp_path, num_nodes=2)


def test_a_report_that_cannot_be_sent_to_ranks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be sent to other processes"):
        train(tmp_path, devices=2, report=lambda epoch, metrics: None)


def test_two_runs_cannot_share_a_folder(tmp_path: Path) -> None:
    def report(epoch: int, row: Any) -> None:
        with pytest.raises(StorageError, match="another process is training"):
            train(tmp_path)

    assert train(tmp_path, epochs=1, report=report).stopped == "finished"


# what is said


def test_one_plain_line_an_epoch_without_a_terminal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = ToyData()
    with caplog.at_level(logging.INFO):
        fit(toy_spec(data), toy_config(), data, directory=tmp_path, fingerprint="f" * 16)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert "val_loss" in lines[0]
    assert "(best" in lines[0]


def test_toy_has_the_width_that_its_assets_say(tmp_path: Path) -> None:
    result = train(tmp_path, epochs=1)
    assert json.loads((result.checkpoint / "assets" / "toy.json").read_text()) == {
        "features": FEATURES
    }
