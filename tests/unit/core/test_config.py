"""The fingerprint: stable where nothing changed, another wherever anything did."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from seqtune.core.config import (
    RunConfig,
    TrainingConfig,
    canonical_json,
    fingerprint,
    library_versions,
)
from seqtune.core.resolve import flatten, unflatten
from seqtune.tasks.recommend.models.config import ModelConfig
from seqtune.tasks.recommend.models.transformer_config import TransformerConfig
from seqtune.tasks.recommend.params import RecommendConfig

VERSIONS = {"python": "3.11.7", "torch": "2.13.0"}
OTHER = {
    "model.architecture": "gru4rec",
    "ingest.delimiter": ";",
    "ingest.file_columns": ("user", "item"),
    "split.test_items": 0,
    "model.side_embeddings": ("genre",),
    "training.start_from": "a folder",
    "training.max_minutes": 5.0,
    "training.num_threads": 3,
    "evaluation.ks": (1, 2),
}


def choices(key: str) -> tuple[Any, ...]:
    """What a parameter may be, where that is a list of names."""
    node: Any = RecommendConfig
    for part in key.split("."):
        node = node.model_fields[part].annotation
        node = node.variant({}) if hasattr(node, "variant") else node
    return get_args(node) if get_origin(node) is Literal else ()


def other(key: str, value: Any) -> Any:
    """A valid value that is not the present one."""
    if key in OTHER:
        return OTHER[key]
    if names := [name for name in choices(key) if name != value]:
        return names[0]
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}_too"
    if isinstance(value, float):
        return value / 2 or 0.25
    return (value or 0) * 2 or 1


COMPANIONS: dict[str, dict[str, Any]] = {
    "ingest.header": {"ingest.file_columns": ("user", "item", "time")},
    "model.lazy_embeddings": {"model.num_negatives": 8},
}
"""What some parameters need of others to take another value."""


OF_THE_TRANSFORMER = {
    f"model.{name}"
    for name in TransformerConfig.model_fields.keys() - ModelConfig.model_fields.keys()
}


def config_for(key: str, *, changed: bool) -> RecommendConfig:
    values = dict(flatten(RecommendConfig().model_dump())) | COMPANIONS.get(key, {})
    if changed:
        values[key] = other(key, values[key])
    if values["model.architecture"] == "gru4rec":
        values = {k: v for k, v in values.items() if k not in OF_THE_TRANSFORMER}
    return RecommendConfig.model_validate(unflatten(values))


WITHOUT_EFFECT = {"training.resume", "training.save_state_every_minutes"}


@pytest.mark.parametrize("key", dict(flatten(RecommendConfig().model_dump())))
def test_fingerprint_changes_with_whatever_shapes_a_run(key: str) -> None:
    before, after = (
        fingerprint(config_for(key, changed=changed), data_hash="d", versions=VERSIONS)
        for changed in (False, True)
    )

    assert (after == before) == (key in WITHOUT_EFFECT)


def test_fingerprint_is_pinned_for_a_fixed_configuration() -> None:
    """Stable over processes and machines; it changes only when a parameter is added."""
    config = RunConfig(task="toy", training=TrainingConfig(epochs=3))
    first = fingerprint(config, data_hash="d", versions=VERSIONS)

    assert first == fingerprint(config.model_copy(), data_hash="d", versions=dict(VERSIONS))
    assert len(first) == 16
    assert int(first, 16) >= 0


def test_fingerprint_changes_with_data_and_libraries() -> None:
    config = RunConfig(task="toy")
    known = {
        fingerprint(config, data_hash="d", versions=VERSIONS),
        fingerprint(config, data_hash="e", versions=VERSIONS),
        fingerprint(config, data_hash="d", versions={**VERSIONS, "torch": "2.13.1"}),
    }

    assert len(known) == 3


def test_fingerprint_takes_the_installed_versions_by_default() -> None:
    config = RunConfig(task="toy")

    assert fingerprint(config, data_hash="d") == fingerprint(
        config, data_hash="d", versions=library_versions()
    )
    assert {"python", "seqtune", "torch", "lightning", "numpy"} <= library_versions().keys()


def test_canonical_json_does_not_depend_on_order() -> None:
    assert canonical_json({"b": 1, "a": "한"}) == canonical_json({"a": "한", "b": 1})
    assert canonical_json({"b": 1, "a": "한"}) == '{"a":"한","b":1}'


def test_canonical_json_refuses_what_json_has_not() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"loss": float("nan")})


def test_configuration_survives_its_json() -> None:
    config = RecommendConfig()

    assert RecommendConfig.model_validate(json.loads(config.canonical_json())) == config


def test_configuration_is_frozen_and_closed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig(task="toy").seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        RunConfig.model_validate({"task": "toy", "sed": 1})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 0.0),
        ("lr", float("inf")),
        ("epochs", 0),
        ("batch_size", 0),
        ("beta1", 1.0),
        ("gradient_clip_val", -1.0),
        ("num_workers", -1),
        ("precision", "fp8"),
        ("max_minutes", 0.0),
        ("devices", 0),
        ("epochs", True),
        ("num_threads", True),
        ("lr", True),
        ("monitor", False),
        ("strategy", "nonsense"),
    ],
)
def test_training_refuses_values_out_of_range(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        TrainingConfig.model_validate({key: value})
