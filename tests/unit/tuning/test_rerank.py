"""Fresh seeds decide, and luck is measured instead of picked."""

from __future__ import annotations

import json

import pytest

from seqtune.core.errors import TuningError
from seqtune.core.trials import Trial
from seqtune.tuning.analysis.rerank import (
    DEFAULT,
    Reranked,
    candidates,
    fresh_seeds,
    judge,
    judge_seeds,
    rerank_queue,
)

SEARCH = [Trial(i, "complete", {"x": i}, score=score) for i, score in enumerate([0.5, 0.9, 0.8])]


def reruns(scores: dict[int, list[float]], *, seeds: tuple[int, ...] = (7, 8, 9)) -> list[Trial]:
    return [
        Trial(100 + 10 * x + i, "complete", {"x": x, "seed": seed}, score=score)
        for x, values in scores.items()
        for i, (seed, score) in enumerate(zip(seeds, values, strict=False))
    ]


def judged(scores: dict[int, list[float]], *more: Trial) -> Reranked:
    found = candidates(SEARCH, top=2, mode="max")
    return judge(found, [*reruns(scores), *more], mode="max")


def test_one_seed_is_no_plural() -> None:
    assert "over one fresh seed, 0.8000" in judged({1: [0.8], 2: [0.7]}).reason


def test_candidates_are_the_best_configurations_each_once() -> None:
    twice = [*SEARCH, Trial(3, "complete", {"x": 1}, score=0.85)]

    assert [t.number for t in candidates(twice, top=3, mode="max")] == [1, 2, 0]
    assert [t.number for t in candidates(twice, top=1, mode="min")] == [0]


def test_fresh_seeds_follow_from_the_study_and_fit_in_32_bits() -> None:
    seeds = fresh_seeds(42, num=20)

    assert seeds == fresh_seeds(42, num=20)
    assert seeds[:3] == fresh_seeds(42, num=3)
    assert len({*seeds, 42}) == 21
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert set(seeds).isdisjoint(fresh_seeds(43, num=20))
    assert sorted({*fresh_seeds(3, num=9, below=10), 3}) == list(range(10))
    with pytest.raises(TuningError, match="there are not 10 seeds below 10"):
        fresh_seeds(3, num=10, below=10)


def test_the_queue_goes_seed_by_seed() -> None:
    queue = rerank_queue(candidates(SEARCH, top=2, mode="max"), (7, 8))

    assert queue == [
        {"x": 1, "seed": 7}, {"x": 2, "seed": 7}, {"x": 1, "seed": 8}, {"x": 2, "seed": 8}
    ]  # fmt: skip


def test_the_best_mean_over_fresh_seeds_wins() -> None:
    found = judged({1: [0.7, 0.8, 0.75], 2: [0.8, 0.9, 0.85]})

    assert found.chosen.number == 2
    assert [(row.trial, row.rank_before, row.rank_after) for row in found.rows] == [
        (2, 2, 1), (1, 1, 2)
    ]  # fmt: skip
    assert found.rows[1].mean == pytest.approx(0.75)
    assert found.rows[1].std == pytest.approx(0.05)
    assert found.inflation == pytest.approx(0.15)
    assert found.is_beyond_noise is True  # ahead by 0.1 for every seed
    assert "trial 2 has the best mean over 3 fresh seeds, 0.8500" in found.reason
    assert "The best score of the search was 0.1500 too good" in found.reason


def test_a_lead_within_the_noise_is_called_that() -> None:
    found = judged({1: [0.7, 0.9, 0.8], 2: [0.9, 0.71, 0.8]})

    assert found.is_beyond_noise is False
    assert "not more than the noise" in found.reason


def test_lower_wins_where_less_is_better() -> None:
    found = judge(
        candidates(SEARCH, top=2, mode="min"), reruns({0: [0.6, 0.7], 2: [0.5, 0.6]}), mode="min"
    )
    assert found.chosen.number == 2
    assert found.inflation == pytest.approx(0.15)


def test_who_fails_on_a_seed_does_not_compete() -> None:
    failed = Trial(300, "failed", {"x": 2, "seed": 9}, reason="the loss became nan")
    found = judged({1: [0.7, 0.7, 0.7], 2: [0.9, 0.9]}, failed)

    assert found.chosen.number == 1
    assert found.rows[1].note == "1 of 3 reruns did not complete: the loss became nan"
    assert found.is_beyond_noise is None


def test_one_seed_says_nothing_of_noise() -> None:
    found = judged({1: [0.7], 2: [0.8]})

    assert (found.chosen.number, found.is_beyond_noise) == (2, None)
    assert "tuning.rerank.seeds" in found.reason


def test_without_reruns_the_single_seed_decides_and_that_is_told() -> None:
    found = judged({})

    assert (found.chosen.number, found.inflation) == (1, None)
    assert found.reason == "no rerun completed: trial 1 leads by its single seed alone"


KEPT = Trial(DEFAULT, "complete", {"epochs": 3})


def beside_default(best: list[float], default: list[float]) -> Reranked:
    pairs = zip((7, 8, 9), default, strict=True)
    again = [Trial(200 + s, "complete", {"epochs": 3, "seed": s}, score=x) for s, x in pairs]
    found = candidates(SEARCH, top=1, mode="max")
    return judge(found, [*reruns({1: best}), *again], mode="max", default=KEPT)


def test_the_default_stays_unless_it_is_beaten_by_more_than_the_noise() -> None:
    won = beside_default([0.80, 0.84, 0.82], [0.75, 0.80, 0.76])
    assert (won.chosen.number, [row.trial for row in won.rows]) == (1, [1, DEFAULT])
    assert won.reason.endswith("Over the default it brings +0.0500 ± 0.0058 (+6.5%) over 3 seeds")

    kept = beside_default([0.80, 0.84, 0.82], [0.75, 0.80, 0.90])
    assert kept.chosen is KEPT
    assert kept.reason == (
        "the default configuration stays: trial 1, the best of the search, brings "
        "+0.0033 ± 0.0418 (+0.4%) over 3 seeds, which is not more than the noise"
    )


def test_a_default_that_fails_keeps_nothing() -> None:
    failed = judge(
        candidates(SEARCH, top=1, mode="max"), reruns({1: [0.7, 0.8]}), mode="max", default=KEPT
    )
    assert (failed.chosen.number, failed.gain) == (1, None)


def test_no_candidate_is_an_error_with_a_next_step() -> None:
    with pytest.raises(TuningError, match="no complete trial; run more trials"):
        judge([], [], mode="max")


def test_the_report_is_json() -> None:
    found = judged({1: [0.7, 0.8, 0.75], 2: [0.8, 0.9, 0.85]})

    read = json.loads(json.dumps(found.as_dict()))
    assert read["chosen"] == 2
    assert read["rows"][0]["scores"] == {"7": 0.8, "8": 0.9, "9": 0.85}


def test_the_seed_stage_measures_luck_and_names_no_seed() -> None:
    trials = [
        Trial(i, "complete", {"seed": 100 + i}, score=score)
        for i, score in enumerate([0.50, 0.52, 0.54])
    ]
    report = judge_seeds(trials, mode="max")

    assert (report.num, report.min, report.max) == (3, 0.50, 0.54)
    assert report.mean == pytest.approx(0.52)
    assert report.std == pytest.approx(0.02)
    assert report.inflation == pytest.approx(0.02)
    assert "would look 0.0200 better than it is: keep the seed that is set" in report.verdict
    assert "102" not in report.verdict


def test_a_seed_stage_without_a_result_is_an_error() -> None:
    with pytest.raises(TuningError, match="no seed completed"):
        judge_seeds([Trial(0, "failed", {"seed": 1})], mode="max")
    assert "at least 5" in judge_seeds([SEARCH[0]], mode="max").verdict
