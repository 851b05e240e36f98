"""The estimate of memory against what a training takes, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.format import MIB
from seqtune.tasks.classify.data import ClassifyData
from seqtune.tasks.classify.memory import estimate_memory
from seqtune.tasks.classify.module import build_module

from .examples import generated, make_model, make_split, tiny_config

LOWEST, HIGHEST = 0.6, 1.6
"""Of the estimate by the measured peak."""


def ratio(folder: Path, **options: Any) -> float:
    """Estimate by measured peak."""
    hidden, layers = options.pop("hidden"), options.pop("layers")
    options["sizes"] = {
        "hidden_size": hidden,
        "embedding_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 4 * hidden,
    }
    script = Path(__file__).parent / "measured_memory.py"
    completed = subprocess.run(
        [sys.executable, str(script), json.dumps(options), str(folder)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    estimate, peak = json.loads(completed.stdout.splitlines()[-1])
    if peak is None:
        pytest.skip("this system does not tell how much memory a process took")
    return float(estimate / peak)


@pytest.mark.slow
def test_it_is_near_what_a_training_takes(tmp_path: Path) -> None:
    found = ratio(tmp_path, hidden=128, layers=2, batch=16, time=64)
    assert LOWEST < found < HIGHEST


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("hidden", "layers", "batch", "time"),
    [(128, 4, 32, 128), (256, 4, 16, 128), (256, 6, 64, 32), (128, 2, 16, 256)],
)
def test_it_is_near_over_the_whole_range(
    tmp_path: Path, hidden: int, layers: int, batch: int, time: int, again: bool, precision: str
) -> None:
    options = {"hidden": hidden, "layers": layers, "batch": batch, "time": time}
    found = ratio(
        tmp_path,
        **options,
        model={"gradient_checkpointing": again},
        training={"precision": precision},
    )
    assert LOWEST < found < HIGHEST


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "electra", hidden=64)


def test_what_makes_a_training_larger_makes_the_estimate_larger(
    folder: Path, small_data: ClassifyData
) -> None:
    def estimate(model: dict[str, Any] | None = None, **training: Any) -> float:
        config = tiny_config(folder, model=model or {}, training=training)
        return estimate_memory(config, small_data)

    usual = estimate()
    assert estimate(batch_size=16) > usual
    assert estimate(model={"gradient_checkpointing": True}) < usual
    assert estimate(model={"freeze_embeddings": True}) < usual
    assert estimate(model={"freeze_encoder": True}) < usual
    assert estimate(model={"max_length": 6}) < usual
    assert estimate(precision="bf16") < usual
    assert estimate(optimizer="sgd") < usual


def test_the_state_of_every_parameter_is_in_it(
    folder: Path, small_data: ClassifyData, tmp_path: Path
) -> None:
    """What is left of it between two optimisers is exactly what their states differ in."""
    config = tiny_config(folder)
    sgd = tiny_config(folder, training={"optimizer": "sgd"})
    difference = estimate_memory(config, small_data) - estimate_memory(sgd, small_data)
    counted = sum(p.numel() for p in build_module(config, small_data).parameters())
    assert difference == pytest.approx(4 * counted / MIB)


def test_texts_are_no_longer_than_those_there_are(folder: Path, tmp_path: Path) -> None:
    """A larger limit costs nothing where no text is that long."""
    data = make_split(tmp_path / "split", train=generated(20, longest=10))
    wide, wider = (tiny_config(folder, model={"max_length": n}) for n in (128, 512))
    assert estimate_memory(wide, data) == estimate_memory(wider, data)
