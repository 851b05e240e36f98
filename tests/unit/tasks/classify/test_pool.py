"""The pool against the exact thing: `evaluate` on an ensemble with the same weights."""

import json

import numpy as np
import pytest

from seqtune.core.config import EnsembleConfig
from seqtune.core.errors import ArtifactError, ConfigurationError, DataError
from seqtune.ensembling import weigh
from seqtune.tasks.classify import TASK, ensemble
from seqtune.tasks.classify.evaluate import evaluate
from seqtune.tasks.classify.metrics import by_label, decided_metrics
from seqtune.tasks.classify.pool import open_pool
from seqtune.tasks.classify.score_normalization import SCALES, probabilities_of
from seqtune.tasks.classify.thresholds import best_thresholds

from .examples import LABELS, generated, make_split
from .fixed_logits import load_fixed, write_ensemble, write_logits

WEIGHTS = ((1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, 0.0), (0.0, 0.25, 0.75), (0.61, 0.27, 0.12))
EVERYTHING = EnsembleConfig()


@pytest.fixture(autouse=True)
def fixed_logits(monkeypatch):
    monkeypatch.setattr(ensemble, "load_classifier", load_fixed)


@pytest.fixture
def data(tmp_path):
    return make_split(tmp_path / "split", valid=generated(90, seed=1), test=generated(70, seed=2))


@pytest.fixture
def members(tmp_path, data):
    made = {}
    for seed in range(3):
        random = np.random.default_rng(seed)
        logits = {
            part: (1 + seed) * (data.targets(part) + random.normal(size=(data.num_rows(part), 3)))
            for part in ("valid", "test")
        }
        name = f"m{seed}"
        made[name] = write_logits(tmp_path / name, data, fingerprint=f"{seed}" * 16, **logits)
    return made


def pool_of(members, data, settings=EVERYTHING):
    return open_pool(members, data, settings, seed=0)


@pytest.mark.parametrize("scale", SCALES)
def test_weights_and_thresholds_are_chosen_together(tmp_path, members, data, scale):
    pool = pool_of(members, data)
    assert (pool.metric, pool.num_members, pool.num_rows) == ("valid macro_f1", 3, 90)
    assert pool.scales == TASK.scales == SCALES
    logits = [np.load(path / "valid.npy") for path in members.values()]
    for weights in WEIGHTS:
        if scale == "logits":
            own = sum(share * one for share, one in zip(weights, logits, strict=True))
            expected = probabilities_of(own)
        else:
            expected = sum(
                share * probabilities_of(one) for share, one in zip(weights, logits, strict=True)
            )
        best = best_thresholds(expected, data.targets("valid"))
        assert pool.score(np.array(weights), scale=scale) == pytest.approx(best.f1.mean())
        decision = pool.decision(np.array(weights), scale=scale)
        assert list(decision["thresholds"]) == list(LABELS)
        found = list(decision["thresholds"].values())
        assert found == pytest.approx(best.thresholds.tolist())
        at_half = by_label(expected >= 0.5, data.targets("valid")).f1.mean()
        assert pool.score(np.array(weights), scale=scale) >= at_half


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_its_decision_is_that_of_the_ensemble_bit_for_bit(tmp_path, members, data, scale, weights):
    pool = pool_of(members, data)
    decision = pool.decision(np.array(weights), scale=scale)
    shares = dict(zip(members.values(), weights, strict=True))
    path = write_ensemble(tmp_path / "e", shares, scale=scale, decision=dict(decision))
    opened = ensemble.open_model(path)
    probabilities = opened.probabilities_of(data, "valid")
    found = decided_metrics(probabilities, data.targets("valid"), opened.thresholds)
    assert found["macro_f1"] == pool.score(np.array(weights), scale=scale)
    assert evaluate(path, data)["thresholds"] == decision["thresholds"]


def test_thresholds_of_some_rows_are_used_on_others(members, data):
    pool, weights = pool_of(members, data), np.array(WEIGHTS[0])
    first, second = np.arange(0, 60), np.arange(60, 90)
    logits = [np.load(path / "valid.npy") for path in members.values()]
    probabilities = sum(probabilities_of(one) for one in logits) / 3
    targets = data.targets("valid")
    best = best_thresholds(probabilities[first], targets[first])
    score = {"scale": "probabilities"}
    assert pool.score(weights, rows=first, **score) == pytest.approx(best.f1.mean())
    expected = by_label(probabilities[second] >= best.thresholds, targets[second]).f1.mean()
    found = pool.score(weights, rows=second, decided_on=first, **score)
    assert found == pytest.approx(expected)
    assert found < pool.score(weights, rows=second, **score)
    everywhere = pool.score(weights, decided_on=first, **score)
    decided = by_label(probabilities >= best.thresholds, targets)
    assert everywhere == pytest.approx(decided.f1.mean())


def test_what_was_asked_before_changes_nothing(members, data):
    used, rows = pool_of(members, data), np.arange(10, 70)
    for number in range(100):
        used.score(np.array([number, 1.0, 2.0]), scale="logits", rows=rows)
    for weights in WEIGHTS:
        fresh = pool_of(members, data)
        assert used.score(np.array(weights), scale="logits", rows=rows) == fresh.score(
            np.array(weights), scale="logits", rows=rows
        )


def test_shares_count_as_parts_of_their_sum(members, data):
    pool = pool_of(members, data)
    for scale in SCALES:
        one, other = (pool.score(k * np.array(WEIGHTS[3]), scale=scale) for k in (1.0, 4.0))
        assert one == other


def test_members_that_add_up_beat_the_best_of_them(members, data):
    weighing = weigh(pool_of(members, data), EVERYTHING, seed=0)
    assert weighing.metric == "valid macro_f1"
    single = max(pool_of(members, data).score(one, scale="probabilities") for one in np.eye(3))
    assert weighing.score > single


def test_a_sample_of_rows_does_not_depend_on_the_members(members, data):
    settings = EnsembleConfig(max_rows=40)
    pool = pool_of(members, data, settings)
    assert pool.num_rows == 40
    assert {"rows": 40, "rows_of_valid": 90, "labels": 3}.items() <= pool.facts().items()
    fewer = pool_of({"m1": members["m1"]}, data, settings)
    assert pool.score(np.array([0.0, 1.0, 0.0]), scale="logits") == fewer.score(
        np.ones(1), scale="logits"
    )
    assert json.loads(json.dumps(pool.facts())) == pool.facts()


def test_a_label_without_positives_is_decided_at_a_half(tmp_path):
    rows = [(text, (*labels[:2], 0)) for text, labels in generated(30, seed=1)]
    data = make_split(tmp_path / "s", valid=rows)
    logits = np.random.default_rng(0).normal(size=(30, 3))
    pool = pool_of({"m": write_logits(tmp_path / "m", data, valid=logits)}, data)
    assert pool.decision(np.ones(1), scale="logits")["thresholds"]["나쁨"] == 0.5
    assert 0 < pool.score(np.ones(1), scale="logits") <= 2 / 3


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 0.0, 0.0), (-1.0, 1.0, 1.0)])
def test_what_are_no_weights_is_refused(members, data, weights):
    with pytest.raises(ValueError, match="are not weights of 3 members"):
        pool_of(members, data).score(np.array(weights), scale="logits")


def test_members_of_another_split_are_refused(tmp_path, members, data):
    other = make_split(tmp_path / "other", valid=generated(90, seed=7))
    with pytest.raises(ArtifactError, match=r"member m0 .* was trained on another split"):
        pool_of(members, other)
    renamed = make_split(tmp_path / "renamed", labels=("a", "b", "c"))
    with pytest.raises(ArtifactError, match="labels are food, sport, 나쁨, not a, b, c"):
        pool_of(members, renamed)


def test_members_of_other_labels_are_refused(tmp_path, members, data):
    renamed = make_split(tmp_path / "renamed", labels=("a", "b", "c"))
    odd = write_logits(tmp_path / "odd", renamed, valid=np.zeros((24, 3)))
    with pytest.raises(ArtifactError, match="m0 and odd cannot be combined: their labels differ"):
        pool_of({**members, "odd": odd}, data)


def test_nothing_to_weigh_on_and_nobody_to_weigh_are_refused(tmp_path, members, data):
    with pytest.raises(DataError, match="has no valid part to weigh members on"):
        pool_of(members, make_split(tmp_path / "full", valid=[]))
    with pytest.raises(ConfigurationError, match="needs at least one member"):
        pool_of({}, data)
