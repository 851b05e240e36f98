"""Minimum Bayes risk, worked out by hand."""

import numpy as np
import pytest

from seqtune.tasks.summarize.mbr import agreement, choose, expected


def test_agreement_is_the_sum_of_three_rouges_both_ways():
    found = agreement([["a b c d", "a c b d", "x y"]], tokenizer="words")
    assert found.shape == (1, 3, 3)
    assert found[0, 0] == pytest.approx([3.0, 1.0 + 0.0 + 0.75, 0.0])
    assert np.array_equal(found, found.transpose(0, 2, 1))


def test_the_expectation_is_weighted_by_shares():
    agreements = np.array([[[3.0, 1.0, 0.0], [1.0, 3.0, 2.0], [0.0, 2.0, 3.0]]])
    found = expected(agreements, np.array([0.5, 0.25, 0.25]))
    assert found[0] == pytest.approx([1.5 + 0.25, 0.5 + 0.75 + 0.5, 0.5 + 0.75])
    assert expected(agreements, np.array([2.0, 1.0, 1.0]))[0] == pytest.approx(found[0])


def test_the_one_that_the_others_agree_with_is_chosen():
    rows = [["tea for two", "tea for two people", "rain"], ["a b", "c d", "c d e"]]
    agreements = agreement(rows, tokenizer="words")
    assert list(choose(agreements, np.full(3, 1 / 3))) == [0, 1]


def test_who_has_everything_is_followed_and_who_has_nothing_never():
    rows = [["rain", "tea for two", "tea for two"]]
    agreements = agreement(rows, tokenizer="words")
    assert list(choose(agreements, np.array([1.0, 0.0, 0.0]))) == [0]
    assert list(choose(agreements, np.array([0.4, 0.6, 0.0]))) == [1]
    assert list(choose(agreements, np.full(3, 1 / 3))) == [1]


def test_of_equals_the_larger_share_and_then_the_order_decides():
    agreements = agreement([["tea tea", "milk milk"]], tokenizer="words")
    assert list(choose(agreements, np.array([0.5, 0.5]))) == [0]
    same = agreement([["tea tea", "tea tea", "tea tea"]], tokenizer="words")
    assert list(choose(same, np.array([0.2, 0.5, 0.3]))) == [1]


def test_an_empty_summary_is_worth_nothing():
    agreements = agreement([["", "tea for two"]], tokenizer="words")
    assert list(choose(agreements, np.array([0.5, 0.5]))) == [1]


def test_nobody_at_all():
    assert agreement([], tokenizer="words").shape == (0, 0, 0)
