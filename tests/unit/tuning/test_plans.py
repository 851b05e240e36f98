"""Budgets by name, by duration and as written; and the sampler that suits them."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtune.core.errors import ConfigurationError
from seqtune.tuning.budgets.durations import parse_duration
from seqtune.tuning.budgets.plans import (
    StageBudget,
    enabled_stages,
    plan_stages,
    settle_pruner,
    settle_sampler,
)
from seqtune.tuning.budgets.sizes import BUDGETS
from seqtune.tuning.config import Goal, PrunerKind, SamplerKind, TuningConfig
from seqtune.tuning.spaces.space import Parameter, Space

SPACE = Space((Parameter("a", "float", high=1.0), Parameter("b", "int", low=1, high=8)))
SPACES = {"quick": SPACE, "medium": SPACE}
PRUNED = {"kind": "median"}
SEED_ON = {"enabled": True, "sampler": "random", "pruner": "none"}


def config(**values: Any) -> TuningConfig:
    return TuningConfig.model_validate(values)


def planned(
    *,
    seconds: float | None = 10.0,
    workers: int = 1,
    spaces: Any = None,
    own_epochs: int | None = None,
    **values: Any,
) -> dict[str, StageBudget]:
    return plan_stages(
        config(**values),
        spaces=SPACES if spaces is None else spaces,
        seconds_per_epoch=seconds,
        num_workers=workers,
        own_epochs=own_epochs,
    )


def sizes(budgets: dict[str, StageBudget]) -> dict[str, tuple[int, int]]:
    return {stage: (one.trials, one.epochs) for stage, one in budgets.items()}


def fault(**values: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        planned(**values)
    return str(caught.value)


# ---- by name -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "quick", "medium"),
    [
        ("standard", (100, 20), (50, 50)),
        ("one_day", (15, 30), (30, 50)),
        ("three_days", (20, 30), (50, 50)),
        ("one_week", (30, 30), (100, 50)),
        ("quick", (3, 20), (7, 50)),
        ("thorough", (75, 20), (225, 50)),
        ("extensive", (125, 20), (375, 50)),
    ],
)
def test_a_name_stands_for_trials_and_epochs(
    budget: str, quick: tuple[int, int], medium: tuple[int, int]
) -> None:
    budgets = planned(budget=budget, seconds=None)

    assert sizes(budgets)["test"] == (2, 2)
    assert (sizes(budgets)["quick"], sizes(budgets)["medium"]) == (quick, medium)
    assert all(one.timeout_seconds is None for one in budgets.values())
    assert budgets["quick"].reason == f"{quick[0]} trials x {quick[1]} epochs: budget {budget}"


def test_what_is_written_wins_over_the_budget() -> None:
    stages = {"quick": {"trials": 7, "timeout_minutes": 90}, "medium": {"enabled": False}}

    budgets = planned(stages=stages, seconds=None)

    assert sizes(budgets) == {"test": (2, 2), "quick": (7, 20)}
    assert budgets["quick"].timeout_seconds == 5400
    assert budgets["quick"].reason == (
        "7 trials x 20 epochs: budget standard; trials as written in tuning.stages.quick; at most "
        "1 h 30 min"
    )


def test_the_seed_stage_is_off_until_it_is_switched_on() -> None:
    assert "seed" not in planned()

    seed = planned(stages={"seed": SEED_ON})["seed"]

    assert (seed.trials, seed.epochs, seed.sampler, seed.pruner) == (15, 60, "random", "none")


def test_where_nothing_is_written_the_budget_decides_over_the_seed_stage() -> None:
    def stages_of(budget: str) -> tuple[str, ...]:
        one = config(budget=budget)
        unset = one.stages.seed.model_copy(update={"enabled": None})
        stages = one.stages.model_copy(update={"seed": unset})
        return enabled_stages(one.model_copy(update={"stages": stages}))

    assert [b for b in (*BUDGETS, "6h") if "seed" in stages_of(b)] == ["three_days", "one_week"]


def test_a_grouped_search_has_the_trials_of_its_groups() -> None:
    groups = [{"name": "model", "trials": 20}, {"name": "all", "trials": 15}]

    both = planned(strategy={"kind": "grouped", "groups": groups})
    alone = planned(strategy={"kind": "grouped", "groups": groups, "only_group": "all"})

    assert (both["medium"].trials, alone["medium"].trials) == (35, 15)
    assert "trials of the groups as written" in both["medium"].reason


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("one_dya", "tuning.budget='one_dya' is neither a budget nor a duration; did you mean "
         "'one_day'? A duration is written like 90m, 6h or 1d12h"),
        ("plenty", "tuning.budget='plenty' is neither a budget nor a duration; choose one of "
         "extensive, one_day, one_week, quick, standard, thorough, three_days. A duration is "),
        ("6hours", "tuning.budget='6hours' is not a duration; write numbers with w, d, h, m or s, "
         "the larger first, such as 90m, 6h or 1d12h"),
        ("0h", "tuning.budget='0h' leaves no time"),
    ],
)  # fmt: skip
def test_an_unknown_budget_is_refused(budget: str, message: str) -> None:
    assert fault(budget=budget).startswith(message)


def test_a_stage_that_searches_nothing_is_refused() -> None:
    assert fault(spaces={"quick": Space(), "medium": SPACE}).startswith(
        "nothing is searched in the stage quick; declare at least one parameter in "
        "<task>.tuning.spaces.quick"
    )


# ---- by duration ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("6h", 21600), ("2d", 172800), ("1d12h", 129600), ("1.5h", 5400),
     ("1W 2D", 777600), ("45s", 45)],
)  # fmt: skip
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "-6h", "12h1d", "1h1h", "6h!", "6 hours", "1e3h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a duration; write numbers with w, d, h"):
        parse_duration(text)


def test_before_the_test_stage_a_duration_plans_it_alone() -> None:
    assert sizes(planned(budget="6h", seconds=None)) == {"test": (2, 2)}
    assert fault(budget="6h", seconds=None, stages={"test": {"enabled": False}}).startswith(
        "tuning.budget='6h' is planned by what the test stage took; set tuning.stages.test.enabled"
    )


def test_a_duration_is_divided_among_the_stages() -> None:
    budgets = planned(budget="1d", seconds=6.0, workers=2, pruner=PRUNED)

    # 12 s of test (4 epochs of 6 s by 2); 40 % of the rest are 34555 s: x 2 workers over
    # 20 x 6 x 0.7 s are 822 trials, more than anyone needs.
    # 60 % are 51833 s, of which 10 rounds of 50 x 6 s go to 19 re-rankings: 465 trials.
    assert sizes(budgets) == {"test": (2, 2), "quick": (500, 20), "medium": (465, 50)}
    assert budgets["quick"].timeout_seconds == pytest.approx(0.4 * (86400 - 12))
    assert budgets["medium"].timeout_seconds == pytest.approx(0.6 * (86400 - 12) - 3000)
    assert budgets["quick"].reason.startswith(
        "500 trials x 20 epochs: 9 h 36 min at 6 s per epoch on 2 workers, pruning assumed to save "
        "30%, no more than 500 trials, more add little; at most 9 h 36 min"
    )
    assert "50 min 00 s of it kept for 19 trainings of the re-ranking" in budgets["medium"].reason


def test_epochs_are_shortened_before_too_few_trials_are_left() -> None:
    budgets = planned(budget="7h", seconds=30.0, pruner=PRUNED, rerank={"top": 0})

    # 40 % of 25080 s are 23 trials of 20 epochs or 31 of 15. 60 % are 17 trials of 40 epochs or 20
    # of 35.
    assert sizes(budgets) == {"test": (2, 2), "quick": (31, 15), "medium": (20, 35)}
    assert "shortened from 50 epochs, so that enough trials fit" in budgets["medium"].reason


def test_a_re_ranking_leaves_half_of_its_stage_to_the_search() -> None:
    medium = planned(budget="7h", seconds=30.0, pruner=PRUNED)["medium"]

    # of 15048 s, 13 trainings of 20 epochs are more than a half, 10 are not
    assert (medium.trials, medium.epochs) == (21, 20)
    assert (medium.rerank.top, medium.rerank.seeds, medium.rerank.num_runs) == (2, 3, 10)
    assert (
        "kept for 10 trainings of the re-ranking, which compares 2 trials over 3 seeds instead of "
        "5 over 3, so that half of the time is left"
    ) in medium.reason


def test_where_medium_has_found_nothing_the_best_of_quick_are_ranked_again() -> None:
    rerank = planned(budget="7h", seconds=30.0)["quick"].rerank
    assert (rerank.top, rerank.seeds) == (5, 3)


def test_named_budgets_rank_again_as_written() -> None:
    written = {"top": 4, "seeds": 5}
    rerank = planned(budget="quick", seconds=None, rerank=written)["medium"].rerank
    assert (rerank.top, rerank.seeds) == (4, 5)


@pytest.mark.parametrize(
    ("own", "quick", "medium"), [(200, 20, 50), (50, 20, 50), (16, 16, 16), (3, 3, 3)]
)
def test_a_duration_trains_no_longer_than_the_default(own: int, quick: int, medium: int) -> None:
    budgets = planned(budget="7d", own_epochs=own)
    assert (budgets["quick"].epochs, budgets["medium"].epochs) == (quick, medium)
    assert ("than the" in budgets["medium"].reason) is (own < 50)
    assert planned(own_epochs=own)["medium"].epochs == 50, "a name stands for its epochs"


def test_epochs_below_those_of_the_default_are_multiples_of_5() -> None:
    medium = planned(budget="150m", own_epochs=16, rerank={"top": 0})["medium"]
    # 60 % of 8960 s are 33 trials of 16 epochs; of 4760 s 17 of them, 19 of 15 or 28 of 10
    assert (medium.trials, medium.epochs) == (33, 16)
    medium = planned(budget="80m", own_epochs=16, rerank={"top": 0})["medium"]
    assert (medium.trials, medium.epochs) == (28, 10)


def test_nothing_is_kept_for_a_re_ranking_that_is_off_or_cannot_be() -> None:
    goals = [{"metric": "val_x", "mode": "max"}, {"metric": "ms", "mode": "min"}]

    with_it = planned(budget="12h")["medium"]
    off = planned(budget="12h", rerank={"top": 0})["medium"]
    several = planned(budget="12h", objectives=goals)["medium"]

    assert with_it.trials < off.trials == several.trials


def test_written_values_shape_what_a_duration_plans() -> None:
    stages = {"quick": {"epochs": 10}, "medium": {"trials": 12, "pruner": "none"}}

    budgets = planned(budget="6h", seconds=20.0, stages=stages)

    assert budgets["quick"].epochs == 10
    assert budgets["medium"].trials == 12
    assert budgets["medium"].epochs < 50
    assert "pruning" not in budgets["medium"].reason
    assert budgets["medium"].reason.count("trials as written in tuning.stages.medium") == 1


def test_a_written_stage_that_takes_longer_is_ended_by_the_wall_clock() -> None:
    stages = {"quick": {"trials": 100, "epochs": 100}}

    quick = planned(budget="6h", seconds=10.0, stages=stages)["quick"]

    assert (quick.trials, quick.epochs) == (100, 100)
    assert quick.timeout_seconds == pytest.approx(0.4 * (21600 - 40))
    assert "the given sizes take longer: the wall clock will end it" in quick.reason


def test_a_written_wall_clock_limits_a_stage_of_a_duration() -> None:
    free = planned(budget="1d", rerank={"top": 0})["medium"]
    bound = planned(budget="1d", rerank={"top": 0}, stages={"medium": {"timeout_minutes": 300}})

    assert bound["medium"].timeout_seconds == 18000
    assert bound["medium"].trials < free.trials


def test_too_short_a_duration_says_how_long_the_least_takes() -> None:
    # quick: 10 x 5 x 12 x 0.7 / 2 = 210 s, the 0.4 of 525 s; medium: 6 x 10 x 12 x 0.7 / 2 = 252 s
    # and 4 rounds of 120 s are 732 s, the 0.6 of 1220 s; with 24 s of test 1244 s.
    assert fault(budget="10m", seconds=12.0, workers=2, pruner=PRUNED) == (
        "tuning.budget: 10 min 00 s is too short at 12 s per epoch and 2 at a time. The smallest "
        "useful plan (quick 10 trials x 5 epochs, medium 6 trials x 10 epochs and 7 trainings of "
        "the re-ranking) takes 21m; allow that, or set trials and epochs yourself (tuning.stages)"
    )


@settings(max_examples=100, deadline=None)
@given(
    minutes=st.integers(1, 20_000),
    seconds=st.floats(0.01, 3000.0),
    workers=st.integers(1, 16),
    rerank=st.booleans(),
    seed=st.booleans(),
    own_epochs=st.none() | st.integers(1, 100),
)
def test_a_plan_ends_in_time_or_says_which_duration_does(
    minutes: int,
    seconds: float,
    workers: int,
    rerank: bool,
    seed: bool,
    own_epochs: int | None,
) -> None:
    given: dict[str, Any] = {
        "rerank": {} if rerank else {"top": 0},
        "stages": {"seed": SEED_ON} if seed else {},
        "own_epochs": own_epochs,
    }
    try:
        budgets = planned(budget=f"{minutes}m", seconds=seconds, workers=workers, **given)
    except ConfigurationError as error:
        found = re.search(r"takes (\d+)m;", str(error))
        assert found is not None
        assert int(found[1]) > minutes
        minutes = int(found[1])
        budgets = planned(budget=f"{minutes}m", seconds=seconds, workers=workers, **given)
    test = budgets.pop("test")
    total = seconds * max(test.trials * test.epochs / workers, test.epochs)
    for one in budgets.values():
        saved = 0.7 if one.pruner != "none" else 1.0
        one_worker = one.trials * one.epochs * seconds * saved
        assert one.timeout_seconds is not None
        assert one_worker / workers <= one.timeout_seconds * (1 + 1e-9)
        total += one.timeout_seconds
    if rerank:
        medium = budgets["medium"]
        total += math.ceil(medium.rerank.num_runs / workers) * medium.epochs * seconds
        assert medium.rerank.top >= 2
    assert total <= minutes * 60 * (1 + 1e-9)
    assert budgets["quick"].trials >= 10
    assert budgets["medium"].epochs >= min(10, own_epochs or 10)


# ---- the sampler ---------------------------------------------------------------------------------


def wide(num_parameters: int, *, when: bool = False) -> Space:
    parameters = [Parameter(f"p{i}", "float", high=1.0) for i in range(num_parameters)]
    single = Parameter("single", "categorical", choices=(8,))
    child = Parameter("child", "float", high=1.0, when={"single": (8,)})
    return Space((*parameters, single, *([child] if when else [])))


@pytest.mark.parametrize(
    ("given", "sampler"),
    [
        ({"stage": "test"}, "random"),
        ({"stage": "seed"}, "random"),
        ({"stage": "quick"}, "gp"),
        ({"stage": "quick", "by_importance": True}, "sobol"),
        ({"stage": "quick", "num_goals": 2}, "tpe"),
        ({"stage": "quick", "adaptive": True}, "tpe"),
        ({"stage": "medium"}, "gp"),
        ({"stage": "medium", "adaptive": True}, "tpe"),
        ({"stage": "medium", "num_goals": 2}, "tpe"),
        ({"stage": "medium", "trials": 201}, "tpe"),
        ({"stage": "medium", "space": wide(20)}, "gp"),
        ({"stage": "medium", "space": wide(21)}, "tpe"),
        ({"stage": "medium", "space": wide(2, when=True)}, "tpe"),
        ({"stage": "medium", "wanted": "nsga2"}, "nsga2"),
    ],
)
def test_auto_is_settled_by_stage_space_and_budget(given: dict[str, Any], sampler: str) -> None:
    asked = {"wanted": "auto", "space": wide(3), "trials": 50, **given}

    assert settle_sampler(asked.pop("wanted"), **asked) == sampler


def test_samplers_and_pruners_of_a_stage_win_over_the_general_ones() -> None:
    stages = {"test": {}, "quick": {"sampler": "tpe"}, "medium": {"pruner": "none"}}

    general = planned(sampler={"kind": "random"}, pruner={"kind": "hyperband"}, stages=stages)
    default = planned()

    assert [one.sampler for one in general.values()] == ["random", "tpe", "random"]
    assert [one.pruner for one in general.values()] == ["none", "hyperband", "none"]
    assert [one.sampler for one in default.values()] == ["random", "gp", "gp"]
    assert [one.pruner for one in default.values()] == ["none", "none", "none"]


@pytest.mark.parametrize(
    ("wanted", "sampler", "settled"),
    [
        ("auto", "tpe", "median"),
        ("auto", "sobol", "median"),
        ("auto", "gp", "none"),
        ("median", "gp", "median"),
        ("hyperband", "tpe", "hyperband"),
    ],
)
def test_auto_prunes_where_the_sampler_learns_from_it(
    wanted: PrunerKind, sampler: SamplerKind, settled: PrunerKind
) -> None:
    assert settle_pruner(wanted, sampler) == settled


def test_auto_prunes_nothing_by_a_goal_that_is_known_at_the_end() -> None:
    goal = {"metric": "decoded_rouge_sum", "mode": "max"}
    assert settle_pruner("auto", "tpe", goals=[Goal.model_validate(goal)]) == "none"
    kinds = {one.pruner for one in planned(sampler={"kind": "tpe"}, objectives=[goal]).values()}
    assert kinds == {"none"}


def test_auto_stops_no_trial_with_several_goals() -> None:
    goals = [{"metric": "val_score", "mode": "max"}, {"metric": "model_mib", "mode": "min"}]
    assert {one.pruner for one in planned(objectives=goals).values()} == {"none"}
    chosen = planned(objectives=goals, pruner={"kind": "pareto"})
    assert [one.pruner for one in chosen.values()] == ["none", "pareto", "pareto"]
