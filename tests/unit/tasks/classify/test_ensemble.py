"""Ensemble folders: opened, refused, and with models that were really trained."""

import shutil

import numpy as np
import pytest

from seqtune.core.config import EnsembleConfig
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.tasks.classify import TASK, ensemble
from seqtune.tasks.classify.ensemble import open_model
from seqtune.tasks.classify.evaluate import evaluate
from seqtune.tasks.classify.loading import load_classifier
from seqtune.tasks.classify.pool import open_pool
from seqtune.tasks.classify.score_normalization import combined, on_scale, probabilities_of

from .examples import LABELS, generated, make_model, make_split, tiny_config
from .fixed_logits import load_fixed, write_ensemble, write_logits

TEXTS = [text for text, _ in generated(9, seed=5)]


@pytest.fixture
def fixed_logits(monkeypatch):
    monkeypatch.setattr(ensemble, "load_classifier", load_fixed)


def test_a_checkpoint_is_an_ensemble_of_one(small_checkpoint, small_data):
    opened = open_model(small_checkpoint)
    logits = load_classifier(small_checkpoint).logits(TEXTS, batch_size=4)
    found = opened.probabilities(TEXTS, batch_size=4)
    assert found.tolist() == probabilities_of(logits).tolist()
    assert (opened.kind, opened.labels, opened.is_decided) == ("model", LABELS, True)
    assert opened.thresholds.tolist() == opened.first.thresholds.tolist()
    assert opened.identity()["fingerprint"] == "f" * 16
    assert open_model(small_checkpoint, "last").identity()["weights"] == "last"


def test_models_of_two_kinds_are_combined(tmp_path, small_checkpoint, small_data):
    from seqtune.training import fit

    config = tiny_config(make_model(tmp_path / "model", "bert"), training={"epochs": 1})
    second = fit(
        TASK, config, small_data, directory=tmp_path / "r", fingerprint="e" * 16, progress=False
    ).checkpoint
    members = {"m1": small_checkpoint, "m2": second}
    pool = open_pool(members, small_data, EnsembleConfig(), seed=0)
    shares = np.array([0.4, 0.6])
    one, other = (load_classifier(path).logits(TEXTS, batch_size=4) for path in members.values())
    for scale in TASK.scales:
        path = write_ensemble(
            tmp_path / scale,
            dict(zip(members.values(), shares, strict=True)),
            scale=scale,
            decision=dict(pool.decision(shares, scale=scale)),
        )
        found = open_model(path).probabilities(TEXTS, batch_size=4)
        expected = combined([(0.4, on_scale(one, scale)), (0.6, on_scale(other, scale))], scale)
        assert found.tolist() == expected.tolist()
        report = evaluate(path, small_data)
        assert report["scale"] == scale
        assert set(report["configs"]) == {"m1", "m2"}
        assert report["thresholds"] == pool.decision(shares, scale=scale)["thresholds"]


def test_the_scales_differ():
    logits = [np.array([[4.0, -1.0]]), np.array([[-2.0, 0.0]])]
    mean = combined([(0.5, on_scale(one, "probabilities")) for one in logits], "probabilities")
    of_logits = combined([(0.5, one) for one in logits], "logits")
    assert of_logits.tolist() == probabilities_of(np.array([[1.0, -0.5]])).tolist()
    assert mean == pytest.approx(np.mean([probabilities_of(one) for one in logits], axis=0))
    with pytest.raises(ValueError, match="unknown scale 'ranks'"):
        on_scale(logits[0], "ranks")


def test_a_sum_of_probabilities_is_never_above_one():
    certain = [(share, np.ones((1, 1))) for share in (0.1, 0.2, 0.3, 0.15, 0.25)]
    assert combined(certain, "probabilities").tolist() == [[1.0]]


@pytest.fixture
def made(tmp_path, fixed_logits):
    """Two checkpoints and the folder of the ensemble of both."""
    data = make_split(tmp_path / "split")
    paths = [
        write_logits(tmp_path / f"c{n}", data, fingerprint=f"{n}" * 16, valid=np.full((24, 3), n))
        for n in (1, 2)
    ]
    return paths, tmp_path / "e"


def test_an_exchanged_member_is_refused(made):
    (first, second), path = made
    write_ensemble(path, {first: 0.5, second: 0.5})
    shutil.rmtree(path / "members" / "m2")
    shutil.copytree(first, path / "members" / "m2")
    with pytest.raises(ArtifactError, match="member m2 is not the one it was made with"):
        open_model(path)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"task": "recommend"}, "belongs to the task recommend"),
        ({"scale": "ranks"}, "combines on the scale 'ranks'; this version"),
        ({"members": []}, "has no member with a weight above 0"),
        ({"decision": {"thresholds": {"food": 0.1}}}, "has no threshold for sport, 나쁨"),
    ],
)
def test_an_ensemble_that_cannot_be_scored_is_refused(made, manifest, message):
    (first, _), path = made
    with pytest.raises(ArtifactError, match=message):
        open_model(write_ensemble(path, {first: 1.0}, **manifest))


def test_the_last_weights_of_an_ensemble_are_refused(made):
    (first, second), path = made
    write_ensemble(path, {first: 0.5, second: 0.5})
    with pytest.raises(ConfigurationError, match="weights='last' was requested of the ensemble"):
        open_model(path, "last")


def test_an_ensemble_that_was_never_decided_takes_a_half(made):
    (first, second), path = made
    opened = open_model(write_ensemble(path, {first: 0.5, second: 0.5}))
    assert (opened.is_decided, opened.thresholds.tolist()) == (False, [0.5] * 3)
