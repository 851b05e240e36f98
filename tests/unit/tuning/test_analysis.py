"""What is said of a stage, against numbers worked out by hand."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from seqtune.core.trials import Params, Trial
from seqtune.tuning.analysis.importance import Importance
from seqtune.tuning.analysis.robust_config import robust_config
from seqtune.tuning.analysis.stage_analysis import Analysis, analyse
from seqtune.tuning.spaces.space import Space, parse_space

SPACE = parse_space(
    {
        "model": {
            "dropout": {"type": "float", "low": 0.1, "high": 0.3, "floor": 0.15},
            "layers": {"type": "int", "low": 1, "high": 9, "step": 2},
        },
        "training": {
            "lr": {"type": "float", "low": 1.0e-4, "high": 1.0e-1, "log": True},
            "decay": {"type": "float", "low": 0.0, "high": 0.1, "floor": 0.02, "warn_below": 0.01},
            "batch": {"type": "categorical", "choices": [128, 512], "warn_above": 256},
            "scheduler": {"type": "categorical", "choices": ["cosine", "step"]},
            "gamma": {
                "type": "float",
                "low": 0.1,
                "high": 0.9,
                "step": 0.1,
                "when": {"training.scheduler": ["step"]},
            },
        },
    },
    root="toy",
)
GOOD: Params = {
    "model.dropout": 0.2,
    "model.layers": 3,
    "training.lr": 0.01,
    "training.decay": 0.05,
    "training.batch": 128,
    "training.scheduler": "cosine",
}


def trial(
    number: int, score: float, metrics: dict[str, float] | None = None, **params: Any
) -> Trial:
    changed = {key.replace("__", "."): value for key, value in params.items()}
    return Trial(
        number,
        "complete",
        {**GOOD, **changed},
        score=score,
        metrics=metrics or {"val_ndcg": score},
        curve={1: score / 2, 2: score, 3: score / 2},
        seconds=10.0,
    )


def analysed(trials: list[Trial], space: Space = SPACE, **known: Any) -> Analysis:
    known = {"metric": "val_ndcg", "mode": "max", "importance": Importance()} | known
    return analyse(trials, space=space, **known)


def found(analysis: Analysis, key: str) -> dict[str, Any]:
    return next(dict(one) for one in analysis.overfitting if one["key"] == key)


# ---- counts, reasons, top --------------------------------------------------------------------


def test_states_and_reasons_are_counted() -> None:
    trials = [
        trial(0, 0.5),
        *(Trial(i, "pruned", GOOD, score=0.1, reason="below the median") for i in (1, 2)),
        Trial(3, "failed", GOOD, reason="the loss became nan"),
    ]
    analysis = analysed(trials)

    assert analysis.counts == {"complete": 1, "failed": 1, "pruned": 2}
    assert analysis.reasons[0] == {"state": "pruned", "reason": "below the median", "num": 2}
    assert analysis.headline[0] == (
        "best val_ndcg 0.5000 (trial 0; 1 complete, 1 failed, 2 pruned)"
    )


def test_the_top_table_ranks_complete_trials() -> None:
    analysis = analysed([trial(i, 0.1 * i) for i in range(8)], top=5)

    assert [row["trial"] for row in analysis.top] == [7, 6, 5, 4, 3]
    assert analysis.best == analysis.top[0]
    assert (analysis.top[0]["rank"], analysis.top[0]["best_epoch"]) == (1, 2)
    assert analysis.best_config["training"]["lr"] == 0.01


def test_lower_is_better_where_it_is_said() -> None:
    analysis = analysed([trial(0, 0.5), trial(1, 0.3)], mode="min", metric="val_loss")

    assert analysis.top[0]["trial"] == 1
    assert analysis.top[0]["best_epoch"] == 1


def test_a_penalised_score_is_told_apart_from_the_metric() -> None:
    analysis = analysed([trial(0, 0.5, {"val_ndcg": 0.52})])

    assert analysis.headline[0].startswith("best val_ndcg 0.5200, score 0.5000 (trial 0")


def test_without_trials_it_says_so_and_stays_json() -> None:
    analysis = analysed([])

    assert analysis.headline == ("no trial is complete (none was run)",)
    assert json.loads(json.dumps(analysis.as_dict(), allow_nan=False))["best"] is None


def test_infinite_numbers_become_null() -> None:
    analysis = analysed([trial(0, math.inf, {"val_ndcg": math.inf})])

    assert json.loads(json.dumps(analysis.as_dict(), allow_nan=False))["best"]["score"] is None


# ---- overfitting -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "level"),
    [
        ("model.dropout", 0.149, "warn"),
        ("model.dropout", 0.15, "ok"),
        ("training.decay", 0.009, "warn"),
        ("training.decay", 0.015, "ok"),  # under the floor, over its own warning
        ("training.batch", 512, "warn"),
        ("training.batch", 128, "ok"),
    ],
)
def test_values_are_held_against_floors_and_warnings(key: str, value: Any, level: str) -> None:
    analysis = analysed([trial(0, 0.5, **{key.replace(".", "__"): value})])

    assert found(analysis, key)["level"] == level
    assert any(line.startswith(f"warn: {key}") for line in analysis.headline) == (level == "warn")


def test_values_that_were_not_searched_come_from_the_configuration() -> None:
    part = Trial(0, "complete", {"training.lr": 0.01}, score=0.5)
    analysis = analysed([part], training_values={"model.dropout": 0.05})

    assert found(analysis, "model.dropout")["level"] == "warn"


@pytest.mark.parametrize(
    ("train", "level"), [(0.51, "ok"), (0.525, "warn"), (0.535, "bad"), (None, "unknown")]
)
def test_the_gap_between_train_and_valid_is_judged(train: float | None, level: str) -> None:
    metrics = {"val_ndcg": 0.5} | ({} if train is None else {"train_ndcg": train})
    analysis = analysed([trial(0, 0.5, metrics)])

    assert found(analysis, "train_ndcg - val_ndcg")["level"] == level


def test_the_gap_of_a_loss_runs_the_other_way() -> None:
    metrics = {"val_loss": 0.5, "fit_loss": 0.4}
    analysis = analysed(
        [trial(0, 0.5, metrics)], metric="val_loss", mode="min", train_metric="fit_loss"
    )

    assert analysis.top[0]["gap"] == pytest.approx(0.1)


# ---- regularisation, what the best share -----------------------------------------------------


def test_the_regularisation_table_compares_the_best_with_all() -> None:
    trials = [trial(i, 1.0 - 0.1 * i, model__dropout=0.12 + 0.02 * i) for i in range(10)]
    analysis = analysed(trials)
    rows = {row["parameter"]: row for row in analysis.regularisation}

    assert set(rows) == {"model.dropout", "training.decay", "training.batch"}
    dropout = rows["model.dropout"]
    assert (dropout["overall_min"], dropout["overall_max"]) == (0.12, pytest.approx(0.3))
    assert (dropout["top_min"], dropout["top_mean"]) == (0.12, pytest.approx(0.13))
    assert dropout["recommendation"] == (
        "the best prefer less (mean 0.13 against 0.21 over all); their mean is under 0.15: stay "
        "at 0.15 or above all the same"
    )


def test_what_the_best_ten_share_is_told_beside_chance() -> None:
    trials = [
        trial(i, 1.0 - 0.01 * i, training__lr=0.01 + 0.0001 * i, model__layers=1 + 2 * (i % 5),
              training__batch=128 if i < 7 else 512, training__scheduler="cosine")
        for i in range(10)
    ]  # fmt: skip
    shared = {row["parameter"]: row for row in analysed(trials).shared}

    assert "model.layers" not in shared
    assert "training.batch" not in shared  # 7 of 10 are not more than 70 %
    assert shared["training.scheduler"]["num"] == 10
    assert shared["training.lr"]["variation"] == pytest.approx(0.00030277 / 0.01045, rel=1e-3)
    assert shared["training.lr"]["by_chance"] > 1.0
    assert "would give as little" not in shared["training.lr"]["text"]


def test_a_range_too_small_to_tell_is_told() -> None:
    space = parse_space({"x": {"type": "float", "low": 0.9, "high": 1.1}}, root="toy")
    trials = [Trial(i, "complete", {"x": 0.9 + 0.02 * i}, score=1.0 - i) for i in range(10)]

    assert "its range alone would give as little" in analysed(trials, space).shared[0]["text"]


# ---- robust ----------------------------------------------------------------------------------


def test_the_robust_configuration_is_the_mean_of_the_best_five() -> None:
    lrs, layers, batches = (
        [0.001, 0.1, 0.01, 0.01, 0.01],
        [1, 1, 5, 5, 5],
        [512, 128, 128, 512, 512],
    )
    trials = [
        trial(i, 1.0 - 0.1 * i, training__lr=lr, model__layers=layer, training__batch=batch)
        for i, (lr, layer, batch) in enumerate(zip(lrs, layers, batches, strict=True))
    ]
    robust = robust_config([*trials, trial(9, 0.0, training__lr=0.0001)], space=SPACE, mode="max")

    assert robust["training.lr"] == pytest.approx(0.01)  # geometric
    assert robust["model.layers"] == 3  # 3.4 on the grid of 1, 3, 5 ..
    assert isinstance(robust["model.layers"], int)
    assert robust["training.batch"] == 512
    assert "training.gamma" not in robust
    assert SPACE.contains(robust)


def test_of_equally_frequent_choices_the_better_trial_decides() -> None:
    trials = [trial(0, 1.0, training__batch=512), trial(1, 0.9, training__batch=128)]

    assert robust_config(trials, space=SPACE, mode="max")["training.batch"] == 512


def test_children_follow_the_parent_that_was_taken() -> None:
    step = {"training__scheduler": "step"}
    trials = [
        trial(0, 1.0),
        trial(1, 0.9, **step, training__gamma=0.2),
        trial(2, 0.8, **step, training__gamma=0.5),
        trial(3, 0.7, **step, training__gamma=0.3),
    ]
    robust = robust_config(trials, space=SPACE, mode="max")

    assert robust["training.gamma"] == 0.3  # 0.333 on the grid
    assert SPACE.contains(robust)


def test_the_robust_value_stays_above_the_floor() -> None:
    trials = [trial(i, 1.0, model__dropout=0.11) for i in range(3)]

    assert robust_config(trials, space=SPACE, mode="max")["model.dropout"] == 0.15
