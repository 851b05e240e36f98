"""What only the machine, or an earlier run, can decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import ToyData, toy_config, toy_spec

from seqtune.core.config import RunConfig
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.resolve import Layer, Resolved, resolve
from seqtune.training import fit, resolve_auto, values_for_full_data
from seqtune.training.precision import best_precision
from seqtune.training.randomness import cpu_threads

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")


def resolved(origin: str = "conf", **training: Any) -> Resolved[RunConfig]:
    values = {"task": "toy", "training": {"accelerator": "cpu", **training}}
    return resolve(RunConfig, Layer(origin, values), root="toy")


@pytest.mark.parametrize(
    ("able", "precision", "words"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "bf16", "CPU with AMX bf16"),
        ({"avx512_bf16": True}, "bf16", "CPU with AVX-512 bf16"),
        ({"avx512_f": True}, "fp32", "CPU without bf16"),
    ],
)
def test_auto_takes_bf16_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], precision: str, words: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    settled = resolve_auto(resolved(precision="auto"))
    assert settled.config.training.precision == precision
    assert settled.origins["training.precision"] == f"auto: {words}"


@pytest.mark.parametrize(
    ("capability", "precision"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")]
)
def test_auto_takes_fp16_on_gpus_before_ampere(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert best_precision("cuda")[0] == precision


def test_torch_tells_what_this_cpu_can_do() -> None:
    assert isinstance(torch.cpu.get_capabilities().get("avx2", False), bool)


def test_a_precision_that_was_given_stays() -> None:
    given = resolved(precision="fp32", num_threads=1)
    assert resolve_auto(given) is given


def test_auto_threads_are_written_down_as_the_number_that_torch_takes() -> None:
    settled = resolve_auto(resolved())
    assert settled.config.training.num_threads == torch.get_num_threads()
    assert settled.origins["training.num_threads"].startswith("auto: ")


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_fp16_is_refused_on_a_cpu() -> None:
    with pytest.raises(ConfigurationError, match="choose auto, bf16 or fp32"):
        resolve_auto(resolved(precision="fp16"))


@NO_CUDA
def test_an_accelerator_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"accelerator=cuda cannot be used.*auto, cpu"):
        resolve_auto(resolved(accelerator="cuda"))


def test_more_devices_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigurationError, match=r"training.devices=3, but this machine has 2"):
        resolve_auto(resolved(accelerator="cuda", devices=3, precision="fp32"))


def test_more_processes_than_cores_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"devices=9999, .* of cpu .a process for each core"
    ):
        resolve_auto(resolved(accelerator="cpu", devices=9999, precision="fp32"))


def test_full_data_takes_the_best_epoch_of_the_validated_run(tmp_path: Path) -> None:
    data = ToyData()
    config = toy_config(epochs=4, monitor="val_epoch", early_stopping={"patience": 0})
    result = fit(toy_spec(data), config, data, directory=tmp_path, fingerprint="f", progress=False)
    assert result.best_epoch == 1
    settled = values_for_full_data(resolved(epochs=50), result.checkpoint, {})
    assert settled.config.training.epochs == 1
    assert settled.origins["training.epochs"] == f"best epoch of {result.checkpoint}"


def test_after_a_run_on_everything_its_epochs_count(tmp_path: Path) -> None:
    data = ToyData(has_validation=False)
    config = toy_config(epochs=3)
    result = fit(toy_spec(data), config, data, directory=tmp_path, fingerprint="f", progress=False)
    settled = values_for_full_data(resolved(epochs=50), result.checkpoint, {})
    assert settled.config.training.epochs == 3


def test_what_valid_decides_is_taken_from_the_validated_run(tmp_path: Path) -> None:
    config, data = toy_config(epochs=4, monitor="val_epoch", monitor_mode="max"), ToyData()
    result = fit(toy_spec(data), config, data, directory=tmp_path, fingerprint="f", progress=False)
    chosen = {"training.num_threads": "val_epoch"}
    for given, expected in (("auto", result.best_epoch - 1), (7, 7)):
        settled = values_for_full_data(resolved(num_threads=given), result.checkpoint, chosen)
        assert settled.config.training.num_threads == expected
        assert settled.config.training.epochs == result.best_epoch


def test_epochs_of_the_command_line_win() -> None:
    given = resolved(origin="--params", epochs=7)
    assert values_for_full_data(given, None, {}) is given


def test_without_a_validated_run_it_says_to_train_one_first() -> None:
    with pytest.raises(ConfigurationError, match=r"train with validation first.*toy\.training\."):
        values_for_full_data(resolved(epochs=50), None, {})


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not a complete checkpoint"):
        values_for_full_data(resolved(), tmp_path, {})
