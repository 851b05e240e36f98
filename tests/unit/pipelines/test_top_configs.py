"""The order of the configurations that tuning leaves for an ensemble, and reading them back."""

from __future__ import annotations

from typing import Any

import pytest

from seqtune.core.errors import ArtifactError
from seqtune.core.trials import Trial
from seqtune.pipelines._best_config import read_top_configs
from seqtune.pipelines.tune.best_config import in_order


def trial(number: int, score: float, lr: float, study: str = "s") -> Trial:
    return Trial(number, "complete", {"training.lr": lr}, score=score, study=study)


TRIALS = [trial(0, 0.5, 0.1), trial(1, 0.9, 0.2), trial(2, 0.8, 0.3), trial(3, 0.7, 0.4)]


def row(of: Trial, mean: float | None) -> dict[str, Any]:
    return {"trial": of.number, "params": dict(of.params), "mean": mean, "num": 2}


def order(first: Trial, trials: list[Trial], *rows: dict[str, Any]) -> list[tuple[int, str]]:
    placed = in_order(trials, first, {"rows": rows}, chosen="chosen", mode="max")
    return [(one.number, why) for one, why in placed]


def test_the_chosen_one_then_the_reranked_then_the_rest() -> None:
    zero, one, two, three = TRIALS
    placed = order(three, TRIALS, row(three, 0.75), row(zero, 0.7), row(two, None))
    assert [number for number, _ in placed] == [3, 0, 1, 2]
    assert placed[0][1] == "chosen"
    assert placed[1][1] == "mean 0.7000 over 2 fresh seeds"
    assert placed[2][1] == "score 0.9000 in s"
    assert one.score == 0.9


def test_a_configuration_stands_there_once() -> None:
    twin = trial(7, 0.6, 0.2, study="other")
    unfinished = Trial(8, "pruned", {"training.lr": 0.9}, score=0.99)
    placed = order(TRIALS[1], [*TRIALS, twin, unfinished])
    assert [number for number, _ in placed] == [1, 2, 3, 0]


def test_less_is_better_where_it_is() -> None:
    placed = in_order(TRIALS, TRIALS[0], {}, chosen="", mode="min")
    assert [one.number for one, _ in placed] == [0, 3, 2, 1]


def test_without_tuning_there_are_none() -> None:
    assert read_top_configs(None, task="recommend") == ()


@pytest.mark.parametrize("damaged", [[{"task": "recommend"}], ["text"], [], {}, "text"])
def test_a_damaged_list_is_named(damaged: Any) -> None:
    with pytest.raises(ArtifactError, match=r"recommend\.top_configs is damaged: .*tune again"):
        read_top_configs(damaged, task="recommend")
