"""The pool against the exact thing: `evaluate` on an ensemble with the same weights."""

import json

import numpy as np
import pytest
import torch

from seqtune.core.config import EnsembleConfig
from seqtune.core.errors import ArtifactError, ConfigurationError, DataError
from seqtune.ensembling import weigh
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.evaluate import evaluate
from seqtune.tasks.recommend.loading import LoadedModel
from seqtune.tasks.recommend.pool import open_pool
from seqtune.tasks.recommend.score_normalization import SCALES

from .split_folders import random_model, tiny_config, write_checkpoint, write_ensemble, write_split

NUM_ITEMS = 60
WEIGHTS = (
    (1 / 3, 1 / 3, 1 / 3),
    (1.0, 0.0, 0.0),
    (0.0, 0.25, 0.75),
    (0.05, 0.15, 0.8),
    (0.61, 0.27, 0.12),
)
EVERYTHING = EnsembleConfig(candidates=NUM_ITEMS)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    sequences = [
        rng.integers(1, NUM_ITEMS + 1, size=size).tolist() for size in rng.integers(3, 25, size=70)
    ]
    return write_split(tmp_path / "split", sequences, item_ids=list(range(NUM_ITEMS)))


def changed(config, **sections):
    values = config.model_dump()
    for name, update in sections.items():
        values[name] |= update
    return type(config).model_validate(values)


def checkpoints(path, data, *, seeds=(0, 1, 2), **sections):
    """Models that agree halfway, so that there is something to dispute; they differ in length."""
    common = torch.randn(data.num_items, generator=torch.Generator().manual_seed(9))
    made = {}
    for seed, max_len in zip(seeds, (4, 9, 30), strict=False):
        config = changed(tiny_config(max_len=max_len, init_std=0.3), **sections)
        model = random_model(config, data, seed=seed)
        with torch.no_grad():
            model.item_bias.copy_(common)
        made[f"m{seed}"] = write_checkpoint(path / f"c{seed}", model, config, data)
    return made


def exact(path, members, weights, scale, data, metric="ndcg@10"):
    shares = dict(zip(members.values(), weights, strict=True))
    ensemble = write_ensemble(path / f"{scale}-{weights}", shares, scale=scale)
    return evaluate(ensemble, data)["parts"]["valid"]["full_ranking"][metric]["model"]


@pytest.mark.parametrize("scale", SCALES)
def test_with_enough_candidates_it_is_the_exact_metric_of_the_ensemble(tmp_path, data, scale):
    members = checkpoints(tmp_path, data)
    pool = open_pool(members, data, EVERYTHING, seed=0)
    values = {pool.score(np.array(weights), scale=scale) for weights in WEIGHTS}
    assert len(values) == len(WEIGHTS)
    for weights in WEIGHTS:
        found = pool.score(np.array(weights), scale=scale)
        assert found == pytest.approx(exact(tmp_path, members, weights, scale, data), rel=1e-12)
    facts = pool.facts()
    assert facts["left_out"] == 0
    assert facts["exact_for_any_weights"] == 1.0
    assert facts["exact_at_uniform_weights"] == dict.fromkeys(SCALES, 1.0)
    assert facts["in_dispute"] > 100


@pytest.mark.parametrize(
    ("monitor", "metric"),
    [("val_mrr@5", "mrr@5"), ("val_hit@20", "hit@20"), ("val_loss", "ndcg@10")],
)
def test_it_scores_what_training_monitors(tmp_path, data, monitor, metric):
    members = checkpoints(tmp_path, data, training={"monitor": monitor})
    pool = open_pool(members, data, EVERYTHING, seed=0)
    assert pool.metric == f"valid {metric}"
    found = pool.score(np.array(WEIGHTS[0]), scale="ranks")
    expected = exact(tmp_path, members, WEIGHTS[0], "ranks", data, metric)
    assert found == pytest.approx(expected, rel=1e-12)


def test_seen_items_are_candidates_where_the_switch_says_so(tmp_path, data):
    members = checkpoints(tmp_path, data, evaluation={"exclude_seen": False})
    pool = open_pool(members, data, EVERYTHING, seed=0)
    for scale in SCALES:
        expected = exact(tmp_path, members, WEIGHTS[3], scale, data)
        found = pool.score(np.array(WEIGHTS[3]), scale=scale)
        assert found == pytest.approx(expected, rel=1e-12)


def test_ties_count_against_the_target(tmp_path, data):
    members = checkpoints(tmp_path, data, seeds=(0, 1))
    config = tiny_config()
    flat = random_model(config, data)
    with torch.no_grad():
        for parameter in flat.parameters():
            parameter.zero_()
    members["flat"] = write_checkpoint(tmp_path / "flat", flat, config, data)
    pool = open_pool(members, data, EVERYTHING, seed=0)
    assert pool.score(np.array([0.0, 0.0, 1.0]), scale="ranks") == 0.0
    # a member without an opinion changes nothing
    for scale in SCALES:
        with_it = pool.score(np.array([0.3, 0.3, 0.4]), scale=scale)
        assert with_it == pool.score(np.array([0.5, 0.5, 0.0]), scale=scale)
        assert with_it == pytest.approx(exact(tmp_path, members, (0.3, 0.3, 0.4), scale, data))


@pytest.mark.parametrize("scale", SCALES)
def test_few_candidates_are_exact_for_whom_they_are_said_to_be(tmp_path, data, scale):
    members = checkpoints(tmp_path, data)
    whole = open_pool(members, data, EVERYTHING, seed=0)
    few = open_pool(members, data, EnsembleConfig(candidates=5), seed=0)
    facts = few.facts()
    assert 0.0 < facts["exact_for_any_weights"] < facts["exact_at_uniform_weights"][scale] < 1.0
    assert facts["in_dispute"] + facts["left_out"] == whole.facts()["in_dispute"]
    for weights in map(np.array, WEIGHTS):
        expected, found = whole.ranks(weights, scale), few.ranks(weights, scale)
        assert (found <= expected).all()  # what is missing can only stand before a target
        assert np.array_equal(found[few.left_out == 0], expected[few.left_out == 0])
    uniform = np.full(3, 1 / 3)
    certain = few.is_exact(uniform, scale)
    expected, found = whole.ranks(uniform, scale), few.ranks(uniform, scale)
    assert np.array_equal(found[certain], expected[certain])
    assert not np.array_equal(found, expected)


def test_what_is_kept_is_a_small_part_of_users_times_items(tmp_path, data):
    pool = open_pool(checkpoints(tmp_path, data), data, EVERYTHING, seed=0)
    assert len(pool.users) < 0.2 * pool.num_rows * NUM_ITEMS
    assert pool.facts()["memory_mib"] > 0


def test_a_batch_is_shared_out_among_the_members(tmp_path, data, monkeypatch):
    members = checkpoints(tmp_path, data, evaluation={"batch_size": 24})
    heights = []
    real = LoadedModel.scores

    def noted(model, inputs):
        heights.append(len(inputs))
        return real(model, inputs)

    monkeypatch.setattr(LoadedModel, "scores", noted)
    open_pool(members, data, EVERYTHING, seed=0)
    assert max(heights) * len(members) <= 24
    assert sum(heights) == 70 * len(members)


def test_the_order_of_users_is_that_of_the_split_whatever_the_batches(tmp_path, data):
    pools = []
    for size in (3, 90):
        made = checkpoints(tmp_path / str(size), data, evaluation={"batch_size": size})
        pools.append(open_pool(made, data, EVERYTHING, seed=0))
    for weights in map(np.array, WEIGHTS):
        first, second = (pool.ranks(weights, "log_softmax") for pool in pools)
        assert np.array_equal(first, second)


def test_rows_are_scored_alone(tmp_path, data):
    pool = open_pool(checkpoints(tmp_path, data), data, EVERYTHING, seed=0)
    uniform = np.full(3, 1 / 3)
    ranks = pool.ranks(uniform, "ranks")
    rows = np.array([4, 11, 50])
    expected = np.mean([1 / np.log2(rank + 2) if rank < 10 else 0.0 for rank in ranks[rows]])
    assert pool.score(uniform, scale="ranks", rows=rows) == pytest.approx(expected, rel=1e-12)
    halves = np.array_split(np.arange(70), 2)
    scores = [pool.score(uniform, scale="ranks", rows=half) for half in halves]
    assert np.mean(scores) == pytest.approx(pool.score(uniform, scale="ranks"))


def test_a_sample_of_users_is_a_function_of_the_seed_alone(tmp_path, data):
    members = checkpoints(tmp_path, data)
    few = EnsembleConfig(candidates=NUM_ITEMS, max_rows=20)
    pool = open_pool(members, data, few, seed=0)
    again = open_pool(dict(reversed(members.items())), data, few, seed=0)
    other = open_pool(members, data, few, seed=1)
    assert (pool.num_rows, pool.facts()["users"], pool.facts()["users_of_valid"]) == (20, 20, 70)
    uniform = np.full(3, 1 / 3)
    assert np.array_equal(pool.ranks(uniform, "ranks"), again.ranks(uniform, "ranks"))
    assert not np.array_equal(pool.ranks(uniform, "ranks"), other.ranks(uniform, "ranks"))


def test_weights_that_were_found_are_worth_what_was_said(tmp_path, data):
    members = checkpoints(tmp_path, data)
    pool = TASK.open_pool(members, data, EVERYTHING, seed=0)
    found = weigh(pool, EnsembleConfig(weights="simplex", folds=3), seed=0)
    assert found.metric == "valid ndcg@10"
    expected = exact(tmp_path, members, found.weights, found.scale, data)
    assert found.score == pytest.approx(expected, rel=1e-12)
    assert json.loads(json.dumps(pool.facts())) == pool.facts()


@pytest.mark.parametrize("weights", [[0.5, 0.5], [1.5, -0.5, 0.0], [0.0, 0.0, 0.0]])
def test_weights_that_are_none_are_refused(tmp_path, data, weights):
    pool = open_pool(checkpoints(tmp_path, data), data, EVERYTHING, seed=0)
    with pytest.raises(ValueError, match="are not weights of 3 members"):
        pool.score(np.array(weights), scale="ranks")


def test_members_of_another_split_are_refused(tmp_path, data):
    members = checkpoints(tmp_path, data)
    other = write_split(tmp_path / "other", [[1, 2, 3]] * 5, item_ids=list(range(NUM_ITEMS)))
    with pytest.raises(ArtifactError, match=r"member m0 .* was trained on another split"):
        open_pool(members, other, EVERYTHING, seed=0)
    strange = write_split(tmp_path / "strange", [[1, 2, 3]] * 5, item_ids=["a", "b", "c"])
    with pytest.raises(ArtifactError, match="trained on another data set"):
        open_pool(members, strange, EVERYTHING, seed=0)


def test_a_pool_of_nobody_is_refused(tmp_path, data):
    with pytest.raises(ConfigurationError, match="at least one member; 0 were given"):
        open_pool({}, data, EVERYTHING, seed=0)
    short = write_split(tmp_path / "short", [[1], [2]], item_ids=["a", "b"])
    with pytest.raises(DataError, match="no valid part to weigh members on"):
        open_pool(checkpoints(tmp_path, data), short, EVERYTHING, seed=0)
