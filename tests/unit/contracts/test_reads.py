"""`watched`: notes what is read, and is otherwise the configuration that it copies."""

from __future__ import annotations

import copy
import pickle

import pytest
from pydantic import ValidationError

from seqtune.contracts.config import fingerprint
from seqtune.contracts.reads import watched
from seqtune.tasks.recommend.models.config import ModelConfig
from seqtune.tasks.recommend.params import RecommendConfig

CONFIG = RecommendConfig.model_validate({"model": {"hidden_units": 64}, "training": {"lr": 0.01}})


def test_a_leaf_that_is_read_is_noted_by_its_dotted_key() -> None:
    config, reads = watched(CONFIG)
    assert reads == set()
    assert (config.training.lr, config.seed) == (0.01, 42)
    assert config.training.early_stopping.patience == 10
    assert reads == {"training.lr", "seed", "training.early_stopping.patience"}


def test_reading_a_section_or_all_of_it_notes_nothing() -> None:
    config, reads = watched(CONFIG)
    _ = config.training, config.model
    assert config.model_dump() == CONFIG.model_dump()
    assert config.canonical_json() == CONFIG.canonical_json()
    assert fingerprint(config, data_hash="") == fingerprint(CONFIG, data_hash="")
    assert repr(config)
    assert reads == set()


def test_properties_that_read_fields_count() -> None:
    config, reads = watched(CONFIG)
    assert config.model.sides == ()
    switches = [f"use_{side}_emb" for side in ("genre", "director", "writer", "title")]
    assert reads == {f"model.{name}" for name in (*switches, "side_embeddings")}


def test_it_is_an_instance_of_its_class_and_stays_frozen() -> None:
    config, _ = watched(CONFIG)
    assert isinstance(config, RecommendConfig)
    assert isinstance(config.model, ModelConfig)
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 7


def test_a_changed_copy_goes_on_taking_notes() -> None:
    config, reads = watched(CONFIG)
    training = config.training.model_copy(update={"precision": "fp32"})
    changed = copy.copy(config).model_copy(update={"training": training})
    assert (changed.training.precision, changed.training.lr) == ("fp32", 0.01)
    assert reads == {"training.precision", "training.lr"}


def test_two_copies_take_notes_of_their_own() -> None:
    one, of_one = watched(CONFIG)
    two, of_two = watched(CONFIG)
    _ = one.seed, two.task
    assert (of_one, of_two) == ({"seed"}, {"task"})


def test_in_another_process_it_is_a_plain_copy() -> None:
    config, _ = watched(CONFIG)
    arrived = pickle.loads(pickle.dumps(config))
    assert arrived == CONFIG
    assert type(arrived) is RecommendConfig
    assert type(arrived.training.early_stopping) is type(CONFIG.training.early_stopping)
