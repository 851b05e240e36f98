"""Training that starts from the weights of a checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_task import ToyData, toy_config, toy_spec

from seqtune.core.checkpoint import file_hash, open_checkpoint
from seqtune.core.errors import ConfigurationError
from seqtune.training import carry_over, fit


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = ToyData()
    directory = tmp_path_factory.mktemp("trained")
    return fit(
        toy_spec(data),
        toy_config(epochs=2),
        data,
        directory=directory,
        fingerprint="f" * 16,
        progress=False,
    ).checkpoint


def carried(trained: Path, to: Path, data: ToyData) -> Path:
    config = toy_config(start_from=str(trained))
    return carry_over(toy_spec(data), config, data, directory=to, fingerprint="e" * 16)


def test_it_starts_where_the_other_was_best(trained: Path, tmp_path: Path) -> None:
    data = ToyData()
    made = carried(trained, tmp_path, data)

    manifest = open_checkpoint(made).manifest
    assert (manifest.best.epoch, manifest.score, manifest.stopped) == (0, None, "carried over")
    best, start = load_file(trained / "best.safetensors"), load_file(made / manifest.best.file)
    assert all(torch.equal(best[name], start[name]) for name in best)

    config = toy_config(epochs=1, start_from=str(trained))
    result = fit(
        toy_spec(data),
        config,
        data,
        directory=tmp_path / "on",
        fingerprint="d" * 16,
        progress=False,
    )
    before = open_checkpoint(trained).manifest.best.metrics["train_loss"]
    assert result.history[0]["train_loss"] < before * 1.2


def test_what_is_no_start_is_refused(trained: Path, tmp_path: Path) -> None:
    data, folder = ToyData(), tmp_path / "copy"
    with pytest.raises(ConfigurationError, match="=nowhere is not the folder of a checkpoint"):
        carried(Path("nowhere"), tmp_path, data)
    with pytest.raises(ConfigurationError, match="trained on other labels or tokens"):
        carried(trained, tmp_path, ToyData(assets_hash="b" * 8))

    shutil.copytree(trained, folder)
    manifest = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps({**manifest, "task": "other"}))
    with pytest.raises(ConfigurationError, match="is a checkpoint of the task other"):
        carried(folder, tmp_path, data)


def test_weights_of_another_model_are_refused(trained: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "copy"))
    save_file({"net.0.weight": torch.zeros(3, 3)}, folder / "best.safetensors")
    manifest = json.loads((folder / "checkpoint.json").read_text())
    manifest["best"]["sha256"] = file_hash(folder / "best.safetensors")
    (folder / "checkpoint.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigurationError, match=r"has weights of another model than toy\.model"):
        carried(folder, tmp_path, ToyData())
