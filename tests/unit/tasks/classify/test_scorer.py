"""A checkpoint folder, and the logits of its texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from seqtune.core.checkpoint import MANIFEST, file_hash
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.resolve import Resolved
from seqtune.tasks.classify.auto_values import resolve_auto
from seqtune.tasks.classify.data import ClassifyData
from seqtune.tasks.classify.loading import load_classifier

from .examples import LABELS, generated, make_split


@pytest.fixture
def checkpoint(small_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(small_checkpoint, tmp_path / "checkpoint")


def test_logits_come_in_the_order_of_the_texts_whatever_the_batches(small_checkpoint: Path) -> None:
    texts = ["a day", *(text for text, _ in generated(30, seed=5)), "a", ""]
    classifier = load_classifier(small_checkpoint)
    found = classifier.logits(texts, batch_size=7)
    alone = np.concatenate([classifier.logits([text], batch_size=1) for text in texts])
    assert found.dtype == np.float64
    assert found.shape == (len(texts), len(LABELS))
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert np.ptp(found, axis=0).min() > 1e-3
    assert np.array_equal(found, classifier.logits(texts, batch_size=7))
    assert classifier.logits([], batch_size=7).shape == (0, len(LABELS))


def test_long_texts_are_cut_as_they_were_in_training(small_checkpoint: Path) -> None:
    classifier = load_classifier(small_checkpoint)
    long = "bread " * 40
    kept, cut = (classifier.logits([long + end], batch_size=1) for end in ("", "ball goal"))
    assert np.array_equal(kept, cut)
    assert classifier.logits(["bread " * 3], batch_size=1).tolist() != kept.tolist()


def test_a_part_is_scored_by_the_tokens_that_training_made(
    small_checkpoint: Path, small_data: ClassifyData
) -> None:
    classifier = load_classifier(small_checkpoint)
    settled = resolve_auto(Resolved(classifier.config, {}), small_data).config
    tokens = small_data.tokens("test", settled.model)
    made = sorted(path.name for path in (small_data.path / "made").iterdir())
    object.__setattr__(classifier, "config", settled)
    logits = classifier.logits_of(small_data, "test")
    assert sorted(path.name for path in (small_data.path / "made").iterdir()) == made
    assert len(logits) == len(tokens) == small_data.num_rows("test")
    batch_size = settled.evaluation.batch_size
    assert np.array_equal(
        logits, classifier.logits(small_data.texts("test"), batch_size=batch_size)
    )


def test_best_and_last_are_told_apart(checkpoint: Path) -> None:
    weights = {
        name: tensor + 1 for name, tensor in load_file(checkpoint / "best.safetensors").items()
    }
    save_file(weights, checkpoint / "last.safetensors")
    manifest = json.loads((checkpoint / "checkpoint.json").read_text())
    manifest["last"]["sha256"] = file_hash(checkpoint / "last.safetensors")
    (checkpoint / "checkpoint.json").write_text(json.dumps(manifest))
    best, last = (load_classifier(checkpoint, which) for which in ("best", "last"))
    assert not np.allclose(best.logits(["a"], batch_size=1), last.logits(["a"], batch_size=1))
    assert (best.identity()["weights"], last.identity()["weights"]) == ("best", "last")


def test_it_says_what_it_is(small_checkpoint: Path) -> None:
    classifier = load_classifier(small_checkpoint)
    assert classifier.identity() == {
        "checkpoint": str(small_checkpoint),
        "weights": "best",
        "epoch": 1,
        "fingerprint": "f" * 16,
    }
    assert classifier.labels == LABELS
    assert json.loads(json.dumps(classifier.configuration()))["config"]["seed"] == 42
    assert classifier.data_hash == classifier.manifest.data_hash
    assert not any(part.training for part in classifier.model.modules())


def test_opening_one_draws_nothing_from_the_global_generator(small_checkpoint: Path) -> None:
    before = torch.get_rng_state()
    load_classifier(small_checkpoint)
    assert torch.equal(torch.get_rng_state(), before)


def test_other_labels_are_refused(small_checkpoint: Path, tmp_path: Path) -> None:
    other = make_split(tmp_path / "other", labels=("food", "나쁨", "sport"))
    with pytest.raises(ArtifactError, match=r"another data set than .*other: its labels are food"):
        load_classifier(small_checkpoint).logits_of(other, "valid")


def test_another_task_is_refused(checkpoint: Path) -> None:
    manifest = json.loads((checkpoint / "checkpoint.json").read_text())
    (checkpoint / "checkpoint.json").write_text(json.dumps({**manifest, "task": "recommend"}))
    with pytest.raises(ArtifactError, match="belongs to the task recommend, not to classify"):
        load_classifier(checkpoint)


def test_a_configuration_of_another_version_is_named(checkpoint: Path) -> None:
    manifest = json.loads((checkpoint / "checkpoint.json").read_text())
    manifest["config"]["model"]["wings"] = 2
    (checkpoint / "checkpoint.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"not understand: model\.wings"):
        load_classifier(checkpoint)


def test_damaged_weights_are_refused(checkpoint: Path) -> None:
    path = checkpoint / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"the content of best\.safetensors is not what was"):
        load_classifier(checkpoint)


def test_weights_of_another_size_are_refused(checkpoint: Path) -> None:
    described = json.loads((checkpoint / "assets" / "config.json").read_text())
    described["intermediate_size"] += 1
    (checkpoint / "assets" / "config.json").write_text(json.dumps(described))
    with pytest.raises(ArtifactError, match=r"damaged: assets/config\.json has"):
        load_classifier(checkpoint)
    manifest = json.loads((checkpoint / MANIFEST).read_text())
    (checkpoint / MANIFEST).write_text(json.dumps(manifest | {"files": {}}))
    with pytest.raises(ArtifactError, match="do not fit the configuration beside them"):
        load_classifier(checkpoint)


def test_a_device_that_is_not_there_is_named(small_checkpoint: Path) -> None:
    with pytest.raises(ConfigurationError, match="device='nowhere' cannot be used"):
        load_classifier(small_checkpoint, device="nowhere")
