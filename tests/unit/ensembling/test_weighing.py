"""Weights and their choice on pools whose numbers were worked out by hand."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqtune import ensembling
from seqtune.core.config import EnsembleConfig
from seqtune.core.errors import ConfigurationError, DataError
from seqtune.ensembling import METHODS, weigh
from seqtune.ensembling.folds import Fold, cut_folds
from seqtune.ensembling.weighing import _compare, _Finder

from .toy_pool import ToyPool

LEFT, RIGHT, WRONG = [3, 3, 3, 3, -1, -1, -1, -1], [-1, -1, -1, -1, 3, 3, 3, 3], [-30] * 8
"""Two members that complete one another, and one that drowns both."""


def config(**values):
    return EnsembleConfig(folds=4, greedy_rounds=8).model_copy(update=values)


def row(weighing, method, scale="plain"):
    (found,) = (r for r in weighing.rows if (r.method, r.scale) == (method, scale))
    return found


def test_the_surface_of_the_room():
    assert ensembling.__all__ == ["METHODS", "Comparison", "Weighing", "weigh"]


def test_members_that_complete_one_another_are_averaged():
    found = weigh(ToyPool([LEFT, RIGHT]), config(), seed=0)
    assert (found.method, found.scale, found.weights) == ("uniform", "plain", (0.5, 0.5))
    assert found.score == 1.0
    assert row(found, "single").score == 0.5
    # greedy and simplex do as well; the plainer one is kept
    assert row(found, "greedy").cv_mean == row(found, "simplex").cv_mean == 1.0
    assert found.reason.startswith("uniform on plain did best in 4-fold cross-validation: toy wins")


def test_uniform_leaves_baselines_out_and_the_others_weigh_them():
    pool = ToyPool([LEFT, RIGHT, WRONG])
    found = weigh(pool, config(), seed=0, num_baselines=1)
    assert row(found, "uniform").weights == (0.5, 0.5, 0.0)
    assert found.method == "uniform"
    assert found.alone == (0.5, 0.5, 0.0)
    found = weigh(ToyPool([LEFT, RIGHT]), config(), seed=0, num_baselines=1)
    assert (found.method, found.weights) == ("greedy", (0.5, 0.5))


def test_a_member_that_drowns_the_others_is_not_chosen():
    found = weigh(ToyPool([LEFT, RIGHT, WRONG]), config(), seed=0)
    assert row(found, "uniform").cv_mean == 0.0
    assert (found.method, found.weights, found.score) == ("greedy", (0.5, 0.5, 0.0), 1.0)


def test_the_simplex_finds_what_greedy_has_no_rounds_for():
    found = weigh(ToyPool([LEFT, RIGHT, WRONG]), config(greedy_rounds=1), seed=0)
    assert row(found, "greedy").weights == (1.0, 0.0, 0.0)
    assert found.method == "simplex"
    left, right, wrong = found.weights
    assert 1 / 3 < left / right < 3
    assert wrong == 0.0  # a share that small costs a model and gives nothing


def test_the_single_one_is_kept_where_nothing_does_better():
    found = weigh(ToyPool([[1] * 8, [-9] * 8]), config(), seed=0)
    assert (found.method, found.weights) == ("single", (1.0, 0.0))
    assert found.reason == (
        "The best single member is kept, because no combination did better in 4-fold "
        "cross-validation: the best of them, greedy on plain, has toy wins 1.0000 against 1.0000 "
        "of the best single member (+0.0000, standard error 0.0000)."
    )


def test_cross_validation_by_hand():
    pool = ToyPool([[1, 1, 1, -1], [-3, 2, 2, 2]])
    found = weigh(pool, config(), seed=5)
    # Without row 0 the second member wins all others, and loses row 0; without row 3 the same with
    # the first; without 1 or 2 they are equal and the first is taken, which wins the row.
    single = row(found, "single")
    assert single.cv_mean == 0.5
    assert single.cv_std == pytest.approx(math.sqrt(1 / 3))
    assert single.score == 0.75
    assert (single.difference, single.difference_se) == (0.0, 0.0)
    # the mean loses row 0 only: better than single in row 3, the same elsewhere
    uniform = row(found, "uniform")
    assert (uniform.cv_mean, uniform.cv_std) == (0.75, 0.5)
    assert (uniform.difference, uniform.difference_se) == (0.25, 0.25)
    assert (found.method, found.num_folds) == ("uniform", 4)
    assert "4-fold cross-validation (as many folds as rows)" in found.reason
    assert found.reason.endswith("(+0.2500, standard error 0.2500), a difference within the noise.")


def test_equal_members_are_not_combined():
    found = weigh(ToyPool([LEFT] * 3), config(), seed=0)
    assert (found.method, found.weights) == ("single", (1.0, 0.0, 0.0))


def test_one_member_is_taken_as_it_is():
    found = weigh(ToyPool([LEFT]), config(), seed=0)
    assert (found.method, found.weights) == ("single", (1.0,))
    assert found.reason == "There is one member only, so there is nothing to weigh."


def test_the_plainer_scale_is_kept_among_equals():
    found = weigh(ToyPool([LEFT, RIGHT], other=[LEFT, RIGHT]), config(), seed=0)
    assert (found.method, found.scale) == ("uniform", "plain")
    assert [(r.scale, r.method) for r in found.rows] == [
        (scale, method) for scale in ("plain", "other") for method in METHODS
    ]


def test_a_plainer_method_goes_before_a_plainer_scale():
    found = weigh(ToyPool([LEFT, RIGHT, WRONG], other=[LEFT, RIGHT, LEFT]), config(), seed=0)
    assert row(found, "greedy", "plain").cv_mean == row(found, "uniform", "other").cv_mean == 1.0
    assert (found.method, found.scale) == ("uniform", "other")


def test_one_scale_can_be_asked_for():
    pool = ToyPool([LEFT, RIGHT], other=[LEFT, [-9] * 8])
    found = weigh(pool, config(scale="other"), seed=0)
    assert (found.method, found.scale) == ("single", "other")
    assert {r.scale for r in found.rows} == {"other"}


def test_an_unknown_scale_is_refused_with_those_that_exist():
    with pytest.raises(ConfigurationError, match=r"scale='logits' .* one of auto, plain, other"):
        weigh(ToyPool([LEFT], other=[LEFT]), config(scale="logits"), seed=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_is_asked_for_is_taken_and_compared_with_the_single_one(method):
    found = weigh(ToyPool([[1] * 8, [-9] * 8]), config(weights=method), seed=0)
    assert found.method == method
    assert [r.method for r in found.rows] == list(dict.fromkeys(("single", method)))
    assert f"was asked for (weights={method})" in found.reason


def test_fewer_rows_than_folds_make_fewer_folds():
    found = weigh(ToyPool([[1, -1, 1], [-1, 3, 3]]), config(folds=5), seed=0)
    assert (found.num_folds, found.num_rows) == (3, 3)
    assert "3-fold cross-validation (as many folds as rows)" in found.reason


def test_a_single_row_is_not_enough_to_combine_on():
    found = weigh(ToyPool([[-1], [2]]), config(), seed=0)
    assert (found.method, found.weights, found.num_folds) == ("single", (0.0, 1.0), 1)
    assert found.reason.endswith("is kept: one row cannot be cross-validated.")


def test_nothing_to_weigh_is_refused():
    with pytest.raises(ConfigurationError, match="at least one member; 0 were given"):
        weigh(ToyPool(np.zeros((0, 3))), config(), seed=0)
    with pytest.raises(DataError, match="valid has 0 of them"):
        weigh(ToyPool(np.zeros((2, 0))), config(), seed=0)


def test_the_table_is_json():
    found = weigh(ToyPool([LEFT, RIGHT, WRONG]), config(), seed=0).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert len(found["rows"]) == len(METHODS)
    assert set(found["rows"][0]) == {
        "method",
        "scale",
        "cv_mean",
        "cv_std",
        "difference",
        "difference_se",
        "weights",
        "score",
    }


MARGINS = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 9)),
    elements=st.integers(-4, 4).map(float),
)


@settings(max_examples=25, deadline=None)
@given(MARGINS, st.integers(0, 3))
def test_weights_are_shares_and_never_do_worse_where_they_were_found(margins, seed):
    pool = ToyPool(margins, other=margins[:, ::-1] * 2)
    found = weigh(pool, config(folds=3, greedy_rounds=4), seed=seed)
    for one in (*found.rows, found):
        assert sum(one.weights) == pytest.approx(1.0)
        assert min(one.weights) >= 0.0
        assert one.score == pool.score(np.array(one.weights), scale=one.scale)
    for method in ("greedy", "simplex"):
        for scale in pool.scales:
            assert row(found, method, scale).score >= row(found, "single", scale).score
    best = max(r.cv_mean for r in found.rows)
    chosen = row(found, found.method, found.scale)
    assert chosen.cv_mean >= best - 1e-12 or found.num_folds == 1
    assert weigh(pool, config(folds=3, greedy_rounds=4), seed=seed) == found


@settings(max_examples=6, deadline=None)
@given(MARGINS.filter(lambda margins: margins.shape[1] > 1), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_where_the_folds_are_the_same(margins, random):
    shuffled = random.sample(range(margins.shape[1]), margins.shape[1])
    where = np.argsort(shuffled)
    folds = cut_folds(margins.shape[1], 3, seed=1)
    moved = [Fold(*(np.sort(where[part]) for part in fold)) for fold in folds]
    tables = [
        _compare(_Finder(pool, config(greedy_rounds=4), 1), ("plain",), cut)
        for pool, cut in ((ToyPool(margins), folds), (ToyPool(margins[:, shuffled]), moved))
    ]
    assert tables[0] == tables[1]


@given(st.integers(2, 40), st.integers(2, 12), st.integers(0, 5))
def test_folds_hold_out_each_row_once(num_rows, num_folds, seed):
    folds = cut_folds(num_rows, num_folds, seed=seed)
    assert len(folds) == min(num_folds, num_rows)
    sizes = [len(fold.held_out) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(np.concatenate([fold.held_out for fold in folds])) == list(range(num_rows))
    for fold in folds:
        assert sorted([*fold.others, *fold.held_out]) == list(range(num_rows))


def test_folds_are_others_with_another_seed():
    first, again, other = (cut_folds(20, 4, seed=seed)[0].held_out for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_held_out_rows_are_decided_by_what_was_found_on_the_others() -> None:
    asked: list[tuple[set[int], set[int]]] = []

    class Deciding(ToyPool):
        def score(self, weights: Any, *, decided_on: Any = None, **how: Any) -> float:
            if decided_on is not None:
                asked.append((set(how["rows"].tolist()), set(decided_on.tolist())))
            return super().score(weights, **how)

    pool = Deciding(np.random.default_rng(1).normal(size=(2, 12)))
    weigh(pool, EnsembleConfig(folds=3, weights="uniform"), seed=1)
    assert len(asked) == 3 * 2  # folds, and two ways to find weights
    for held_out, others in asked:
        assert not held_out & others
        assert held_out | others == set(range(12))
