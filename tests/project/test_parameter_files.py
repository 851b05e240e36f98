"""conf/ and the classes that read it say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from seqtune.contracts.config import EnsembleConfig, Section, ValidateConfig, VerifyConfig
from seqtune.contracts.resolve import flatten
from seqtune.pipelines.sample.params import SampleParameters
from seqtune.tasks.recommend.params import PredictConfig, RecommendConfig, parse
from seqtune.tracking import TrackingConfig
from seqtune.tuning.config import TuningConfig
from seqtune.tuning.spaces.space import Space, parse_space

PRESETS = {
    "small": (32, 2, 2, 30),
    "medium": (64, 4, 3, 50),
    "large": (128, 8, 4, 200),
    "reference": (256, 8, 3, 200),
    "paper_ml1m": (256, 4, 2, 200),
    "paper_steam": (256, 4, 2, 50),
}
"""SPEC 3.3: hidden units, heads, layers, longest sequence."""


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def leaves(section: Section) -> dict[str, Any]:
    return dict(flatten(section.model_dump(mode="json")))


@pytest.fixture(scope="module")
def recommend(repository: Path) -> dict[str, Any]:
    values: dict[str, Any] = read(repository / "conf/base/parameters_recommend.yml")["recommend"]
    return values


@pytest.fixture(scope="module")
def defaults() -> dict[str, Any]:
    """Every parameter of the task with the default of its class; the name is not one."""
    values = leaves(RecommendConfig()) | {
        f"predict.{key}": value for key, value in leaves(PredictConfig()).items()
    }
    return {key: value for key, value in values.items() if key != "task"}


@pytest.fixture(scope="module")
def written(recommend: dict[str, Any]) -> dict[str, Any]:
    groups = {key: value for key, value in recommend.items() if key not in ("preset", "presets")}
    return dict(flatten(groups))


def test_every_parameter_stands_in_the_file(
    written: dict[str, Any], defaults: dict[str, Any]
) -> None:
    assert written.keys() == defaults.keys()


def test_file_and_classes_have_the_same_defaults(
    written: dict[str, Any], defaults: dict[str, Any]
) -> None:
    different = {
        key: (value, defaults[key])
        for key, value in written.items()
        if value is not None and value != defaults[key]
    }

    assert different == {}


def test_null_means_that_a_preset_governs(
    recommend: dict[str, Any], written: dict[str, Any], defaults: dict[str, Any]
) -> None:
    governed = {key for preset in recommend["presets"].values() for key, _ in flatten(preset)}
    left_open = {
        key for key, value in written.items() if value is None and defaults[key] is not None
    }

    assert left_open == governed


def test_default_behind_a_null_is_written_beside_it(
    repository: Path, written: dict[str, Any], defaults: dict[str, Any]
) -> None:
    text = (repository / "conf/base/parameters_recommend.yml").read_text(encoding="utf-8")
    open_keys = [k for k, v in written.items() if v is None and defaults[k] is not None]

    for key in open_keys:
        name = key.rpartition(".")[2]
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{name}: null"))
        assert line.endswith(f"default {defaults[key]}"), line


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_resolves_to_the_specification(recommend: dict[str, Any], preset: str) -> None:
    parsed = parse(values={**recommend, "preset": preset}, runtime={}, origins={})
    model = parsed.resolve().config.model_dump()["model"]

    shape = tuple(model[key] for key in ("hidden_units", "num_heads", "num_layers", "max_len"))
    assert shape == PRESETS[preset]


def test_papers_are_followed_beyond_the_shape(recommend: dict[str, Any]) -> None:
    parsed = parse(values={**recommend, "preset": "paper_ml1m"}, runtime={}, origins={})
    config = parsed.resolve().config.model_dump()

    assert config["model"]["dropout_rate"] == 0.2
    assert config["model"]["random_mask_prob"] == 0.15
    assert config["training"]["lr"] == 1e-3
    assert config["training"]["epochs"] == 200
    steam = parse(values={**recommend, "preset": "paper_steam"}, runtime={}, origins={})
    assert steam.resolve().config.model_dump()["model"]["dropout_rate"] == 0.5


def test_no_preset_is_missing_here(recommend: dict[str, Any]) -> None:
    assert recommend["presets"].keys() == PRESETS.keys()


def test_sample_parameters_are_the_defaults_and_switched_off(repository: Path) -> None:
    values = read(repository / "conf/base/parameters_sample.yml")["sample"]

    assert values == SampleParameters().model_dump()
    assert values["enabled"] is False


def test_sample_environment_resolves_and_keeps_to_its_own_data(
    repository: Path, recommend: dict[str, Any]
) -> None:
    sample = read(repository / "conf/sample/parameters_recommend.yml")["recommend"]
    merged = {**recommend, **sample}
    for section in ("model", "training"):
        merged[section] = {**recommend[section], **sample[section]}
    base, own = (read(repository / f"conf/{env}/globals.yml")["data"] for env in ("base", "sample"))

    config = parse(values=merged, runtime={}, origins={}).resolve().config

    assert config.training.epochs <= 60
    assert own != base
    assert read(repository / "conf/sample/parameters_sample.yml") == {"sample": {"enabled": True}}


@pytest.mark.parametrize(
    ("group", "section"),
    [
        ("tuning", TuningConfig),
        ("verify_env", VerifyConfig),
        ("validate", ValidateConfig),
        ("ensemble", EnsembleConfig),
        ("tracking", TrackingConfig),
    ],
)
def test_file_and_classes_of_the_engine_have_the_same_defaults(
    repository: Path, group: str, section: type[Section]
) -> None:
    file = group if group in ("ensemble", "tracking") else "tuning"
    written = dict(flatten(read(repository / f"conf/base/parameters_{file}.yml")[group]))

    assert written == leaves(section())


def test_the_spaces_of_recommend_are_those_of_the_specification(repository: Path) -> None:
    """SPEC 4.2: ranges and choices of both stages."""
    spaces = read(repository / "conf/base/parameters_recommend_tuning.yml")["recommend"]["tuning"]
    quick, medium = (parse_space(spaces["spaces"][s], root=s) for s in ("quick", "medium"))

    def ranges(space: Space) -> dict[str, Any]:
        return {p.key.split(".")[1]: p.choices or (p.low, p.high) for p in space.parameters}

    assert ranges(quick) == {
        "hidden_units": (128, 256),
        "num_heads": (2, 4, 8),
        "num_layers": (2, 3),
        "max_len": (100, 150, 200),
        "dropout_rate": (0.1, 0.3),
        "weight_decay": (0.0, 0.1),
        "random_mask_prob": (0.15, 0.25),
        "last_item_mask_ratio": (0.0, 0.2),
        "lr": (8e-4, 5e-3),
        "batch_size": (128, 256, 512),
    }
    assert ranges(medium) == {
        "hidden_units": (256,),
        "num_heads": (8,),
        "num_layers": (3,),
        "max_len": (200,),
        "dropout_rate": (0.15, 0.28),
        "weight_decay": (0.02, 0.09),
        "random_mask_prob": (0.17, 0.23),
        "last_item_mask_ratio": (0.05, 0.12),
        "lr": (1e-3, 4e-3),
        "batch_size": (128, 256),
    }
    floors = {p.key: p.floor for p in quick.parameters if p.floor is not None}
    assert floors == {
        "model.dropout_rate": 0.15,
        "model.random_mask_prob": 0.15,
        "model.last_item_mask_ratio": 0.0,
        "training.weight_decay": 0.02,
    }
    assert quick["training.lr"].log
    assert quick["training.batch_size"].warn_above == 256
    assert quick["training.weight_decay"].warn_below == 0.01
