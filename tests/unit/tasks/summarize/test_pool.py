"""The pool against the real thing: `evaluate` on an ensemble with the same shares."""

import json

import numpy as np
import pytest

from seqtune.core.config import EnsembleConfig
from seqtune.core.errors import ArtifactError, ConfigurationError, DataError
from seqtune.ensembling import weigh
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.evaluate import evaluate
from seqtune.tasks.summarize.pool import open_pool

from .checkpoint_folders import trained, write_checkpoint, write_ensemble
from .examples import config_of, rows, write_split

SCALE = "minimum_bayes_risk"
WEIGHTS = ((1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, 0.0), (0.0, 0.25, 0.75), (0.45, 0.3, 0.25))


@pytest.fixture(scope="module")
def pool(three, food):
    return TASK.open_pool(three, food, EnsembleConfig(), seed=0)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_it_is_the_exact_metric_of_the_ensemble(tmp_path, pool, three, food, weights):
    ensemble = write_ensemble(tmp_path / "e", dict(zip(three.values(), weights, strict=True)))
    expected = evaluate(ensemble, food, parts=("valid",))["parts"]["valid"]["rouge"]["rouge_sum"]
    found = pool.score(np.array(weights), scale=SCALE)
    assert found == pytest.approx(expected["model"], rel=1e-12)


def test_weightings_differ(pool):
    values = {pool.score(np.array(weights), scale=SCALE) for weights in WEIGHTS}
    assert len(values) >= 3
    assert pool.metric == "valid rouge_sum"
    assert (pool.num_members, pool.num_rows, pool.scales) == (3, 12, (SCALE,))
    assert pool.decision(np.array(WEIGHTS[0]), scale=SCALE) == {}


def test_rows_are_scored_alone(pool):
    uniform = np.full(3, 1 / 3)
    halves = np.array_split(np.arange(12), 2)
    found = [pool.score(uniform, scale=SCALE, rows=half, decided_on=halves[0]) for half in halves]
    assert np.mean(found) == pytest.approx(pool.score(uniform, scale=SCALE))
    assert found[0] != found[1]


def test_what_choosing_could_reach_bounds_what_it_does(pool):
    facts = pool.facts()
    best = facts["rouge_sum_of_the_best_choice"]
    assert all(pool.score(np.array(weights), scale=SCALE) <= best for weights in WEIGHTS)
    alone = [pool.score(row, scale=SCALE) for row in np.eye(3)]
    assert facts["rouge_sum_of_each"] == pytest.approx(alone)
    assert 0 < facts["agreement"] < 3
    assert (facts["rows"], facts["rows_of_valid"]) == (12, 12)
    assert json.loads(json.dumps(facts)) == facts


def test_weights_that_were_found_are_worth_what_was_said(tmp_path, pool, three, food):
    found = weigh(pool, EnsembleConfig(weights="greedy", folds=3, greedy_rounds=4), seed=0)
    shares = dict(zip(three.values(), found.weights, strict=True))
    ensemble = write_ensemble(tmp_path / "e", shares)
    expected = evaluate(ensemble, food, parts=("valid",))["parts"]["valid"]["rouge"]["rouge_sum"]
    assert found.score == pytest.approx(expected["model"], rel=1e-12)


def test_a_sample_of_rows_is_a_function_of_the_seed_alone(three, food):
    few = EnsembleConfig(max_rows=4)
    one = open_pool({"m1": three["m1"]}, food, few, seed=0)
    again = open_pool({"m2": three["m2"], "m1": three["m1"]}, food, few, seed=0)
    assert (one.num_rows, again.num_rows, one.facts()["rows_of_valid"]) == (4, 4, 12)
    assert np.array_equal(one.scores[:, 0], again.scores[:, 1])


@pytest.mark.parametrize("weights", [[0.5, 0.5], [1.5, -0.5, 0.0], [0.0, 0.0, 0.0]])
def test_weights_that_are_none_are_refused(pool, weights):
    with pytest.raises(ValueError, match="are not weights of 3 members"):
        pool.score(np.array(weights), scale=SCALE)
    with pytest.raises(ValueError, match="scale='mean' is none of"):
        pool.score(np.full(3, 1 / 3), scale="mean")


def test_members_of_another_split_are_refused(tmp_path, three):
    other = write_split(tmp_path / "s", rows(8), rows(4, start=8))
    with pytest.raises(ArtifactError, match=r"member m1 .* was trained on another split"):
        open_pool(three, other, EnsembleConfig(), seed=0)


def test_a_pool_of_nobody_and_of_nothing_is_refused(tmp_path, three, food):
    with pytest.raises(ConfigurationError, match="at least one member; 0 were given"):
        open_pool({}, food, EnsembleConfig(), seed=0)
    with pytest.raises(DataError, match="no valid part to weigh members on"):
        open_pool(three, write_split(tmp_path / "s", rows(8)), EnsembleConfig(), seed=0)


def test_members_that_are_scored_otherwise_are_refused(tmp_path, three, food, tiny_bart):
    config = config_of(tiny_bart, evaluation={"tokenizer": "characters"})
    other = write_checkpoint(tmp_path / "c", trained(config, food, steps=0), config, food)
    with pytest.raises(ConfigurationError, match=r"evaluation.tokenizer is words .* characters"):
        open_pool({"m1": three["m1"], "other": other}, food, EnsembleConfig(), seed=0)
