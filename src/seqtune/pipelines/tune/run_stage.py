"""The stages of a search: what the nodes of the same names do (nodes.py)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.errors import ConfigurationError, InfeasibleError, TuningError
from seqtune.core.format import format_duration, format_value
from seqtune.core.resolve import flatten
from seqtune.core.task import Report
from seqtune.core.trials import Params, Trial, ranked
from seqtune.tuning.analysis.rerank import (
    DEFAULT,
    candidates,
    fresh_seeds,
    judge,
    judge_seeds,
    rerank_queue,
)
from seqtune.tuning.budgets.plans import StageBudget
from seqtune.tuning.narrowing.warm_start_queue import moved
from seqtune.tuning.objectives.pareto import pick
from seqtune.tuning.sampling.strategies import adaptive_decisions
from seqtune.tuning.search.stage import StudyResult
from seqtune.tuning.spaces.space import Space
from seqtune.tuning.studies.copies import snapshot

from .._resolution import EPOCHS
from .analysis import narrowed_space
from .best_config import MAX_TOP, describe_best, describe_robust, in_order
from .fixed_configs import run_fixed_configs
from .grouped_search import run_groups
from .search import Search, without_fixed_params
from .shared_training import remove_shared_trainings
from .tables import plain, read_trials_table, trials_table
from .trial_states import can_resume
from .unused_params import refuse_params_without_effect, refuse_unmeasured_params

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

SEEDS_OF_STAGE = 1000


def run_test(search: Search) -> tuple[pd.DataFrame, Report]:
    search.refuse_given_epochs()
    if not search.is_enabled("test"):
        return trials_table([]), _off("test")
    budget = search.budgets()["test"]
    objective = search.objective(budget)
    for stage in search.tuning.spaces:
        space, root = search.space(stage), f"{search.tuning.space_root}.{stage}"
        refuse_unmeasured_params(search.task, space, search.scoring, root=root)
        refuse_params_without_effect(objective, space, root=root)
    result = search.run(search.plan(budget, search.space("quick")), objective)
    if not ranked(result.trials, mode=search.scoring.first.mode):
        reasons = "; ".join(sorted({t.reason for t in result.trials if t.reason})) or "no reason"
        raise TuningError(f"no trial of the test stage finished: {reasons}")
    remove_shared_trainings(search.scratch, "test")
    return trials_table(result.trials), _describe(search, budget, result)


def run_quick(
    search: Search, tests: pd.DataFrame, *, out: Path
) -> tuple[pd.DataFrame, Path, Report]:
    search.refuse_given_epochs()
    if not search.is_enabled("quick"):
        return trials_table([]), snapshot(search.storage, [], out), _off("quick")
    budgets = search.budgets(read_trials_table(tests))
    budget, space = budgets["quick"], search.space("quick")
    queue = [
        space.checked(values, root=f"tuning.queue[{index}]")
        for index, values in enumerate(search.tuning.config.queue)
    ]
    queue += [moved(params, space) for params in search.tuning.portfolio]
    result = search.run(search.plan(budget, space, queue=queue), search.objective(budget))
    remove_shared_trainings(search.scratch, "quick")
    report = {
        **_describe(search, budget, result),
        "epochs": {name: one.epochs for name, one in budgets.items()},
    }
    return trials_table(result.trials), snapshot(search.storage, [result.name], out), report


def run_medium(
    search: Search, tests: pd.DataFrame, narrowed: dict[str, Any], *, out: Path
) -> tuple[pd.DataFrame, Path, Report]:
    search.refuse_given_epochs()
    if not search.is_enabled("medium"):
        return trials_table([]), snapshot(search.storage, [], out), _off("medium")
    budgets = search.budgets(read_trials_table(tests))
    budget = budgets["medium"]
    space, queue = narrowed_space(search.parameters, narrowed)
    space = without_fixed_params(space, search.parameters)
    _say_what_starts_again(search, queue, budget)
    if search.tuning.config.strategy.kind == "grouped":
        results = run_groups(search, budget, space, queue=queue)
    else:
        plan = search.plan(budget, space, queue=queue)
        results = [search.run(plan, search.objective(budget))]
    remove_shared_trainings(search.scratch, "medium")
    report = {
        **_describe(search, budget, *results),
        "epochs": {name: one.epochs for name, one in budgets.items()},
        "ranges": _list_range_changes(search, space, results),
    }
    trials = [trial for result in results for trial in result.trials]
    return trials_table(trials), snapshot(search.storage, [r.name for r in results], out), report


def run_rerank(
    search: Search, *, tests: pd.DataFrame, quick: pd.DataFrame, medium: pd.DataFrame
) -> Report:
    stage, trials = _last_stage(search, quick=quick, medium=medium)
    scoring = search.scoring
    if not search.tuning.config.rerank.enabled or scoring.is_multiple:
        why = "several objectives" if scoring.is_multiple else "tuning.rerank"
        return {"enabled": False, "headline": [f"rerank: off ({why})"]}
    budget = search.budgets(read_trials_table(tests))[stage]
    config, epochs = budget.rerank, budget.epochs
    best = candidates(trials, top=config.top, mode=scoring.first.mode)
    own = search.default().config.training.epochs
    default = Trial(DEFAULT, "failed", {EPOCHS: min(own, epochs)})
    seeds = fresh_seeds(search.tuning.config.seed, num=config.seeds)
    # the default without a new seed too: that run is the one that training repeats
    runs = [*rerank_queue([*best, default], seeds), default.params]
    reruns, result = run_fixed_configs(search, runs, stage=f"{stage}.rerank", epochs=epochs)
    remove_shared_trainings(search.scratch, f"{stage}.rerank")
    default = next((one for one in reruns if one.params == default.params), default)
    judged = judge(best, reruns, mode=scoring.first.mode, default=default)
    lines = [f"rerank: {judged.reason}", _describe_result("rerank", result)]
    report = {"enabled": True, "headline": lines, "seeds": seeds, "stage": stage}
    if judged.chosen is default:
        report["default"] = default.row()
    return plain({**report, **judged.as_dict()})


def choose_best(
    search: Search,
    *,
    tests: pd.DataFrame,
    quick: pd.DataFrame,
    medium: pd.DataFrame,
    reranked: Report,
    analyses: Mapping[str, Report],
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], Report]:
    stage, trials = _last_stage(search, quick=quick, medium=medium)
    budget = search.budgets(read_trials_table(tests))[stage]
    trial, chosen = _pick(search, trials, reranked)
    objective = search.objective(budget)
    mode = search.scoring.first.mode
    places = in_order(trials, trial, reranked, chosen=chosen, mode=mode)[:MAX_TOP]
    top = [describe_best(search, one, objective, chosen=why) for one, why in places]
    best = top[0]
    robust = describe_robust(search, analyses[stage]["robust_config"], objective)
    metric, score = best["metric"], best["score"]
    why = "" if reranked.get("enabled") else f"; {chosen}"
    if (states := search.trial_states(stage)) is not None:
        states.remove()  # no stage after this one has other epochs
    lines = [
        f"best_config: {metric} {score:.4f}, trial {trial.number} of {best['study']}{why}",
        "best_config: "
        + ", ".join(f"{k}={format_value(v)}" for k, v in sorted(trial.params.items())),
    ]
    return best, robust, top, {"headline": lines, "trial": trial.number, "chosen": chosen}


def run_seed(
    search: Search, best: dict[str, Any], tests: pd.DataFrame
) -> tuple[pd.DataFrame, Report]:
    if not search.is_enabled("seed"):
        return trials_table([]), _off("seed")
    budget = search.budgets(read_trials_table(tests))["seed"]
    params = {key: value for key, value in flatten(best["values"]) if key in best["searched"]}
    seeds = fresh_seeds(search.tuning.config.seed, num=budget.trials, below=SEEDS_OF_STAGE)
    runs: list[Params] = [{**params, "seed": seed} for seed in seeds]
    trials, result = run_fixed_configs(search, runs, stage="seed", epochs=budget.epochs)
    remove_shared_trainings(search.scratch, "seed")
    judged = judge_seeds(trials, mode=search.scoring.first.mode)
    lines = [f"seed: {judged.verdict}", _describe_result("seed", result)]
    report = {"enabled": True, "headline": lines, **judged.as_dict()}
    return trials_table(trials), plain(report)


def _say_what_starts_again(search: Search, queue: Sequence[Params], budget: StageBudget) -> None:
    """Say why promoted trials do not resume the training of their quick trials."""
    states = search.trial_states("quick")
    if states is None or not states.is_kept:
        return
    data, objective = search.task.open_data(search.split), search.objective(budget)
    num_again = 0
    for params in queue:
        with suppress(InfeasibleError):  # which its trial will say
            num_again += not can_resume(objective.resolve(params, data).config.training)
    if num_again:
        logger.info(
            "%s: %d of %d queued configurations are trained from the first epoch, because their "
            "learning rate depends on the number of epochs (training.scheduler, .warmup_ratio), "
            "or training.resume=false",
            budget.stage,
            num_again,
            len(queue),
        )


def _last_stage(
    search: Search, *, quick: pd.DataFrame, medium: pd.DataFrame
) -> tuple[str, list[Trial]]:
    """Return the longest stage that has finished trials, with its trials."""
    for stage, table in (("medium", medium), ("quick", quick)):
        trials = read_trials_table(table)
        if ranked(trials, mode="max"):
            return stage, trials
    raise ConfigurationError(
        f"there is no finished trial to choose from: switch on tuning.stages.quick or .medium, and "
        f"run `kedro run --pipelines {search.task.name}.tune` again"
    )


def _pick(search: Search, trials: Sequence[Trial], reranked: Report) -> tuple[Trial, str]:
    """Return the trial to train with, and why; the default as one of its reruns."""
    if kept := reranked.get("default"):
        return Trial.from_row(kept), reranked["reason"]
    if reranked.get("enabled"):
        wanted = reranked["chosen"], reranked["params"]
        found = (trial for trial in trials if (trial.number, dict(trial.params)) == wanted)
        return next(found), reranked["reason"]
    choice = pick(trials, scoring=search.scoring, pick=search.tuning.config.pick)
    return choice.trial, choice.reason


def _off(stage: str) -> Report:
    line = f"{stage}: switched off (tuning.stages.{stage}.enabled)"
    return {"enabled": False, "headline": [line]}


def _describe(search: Search, budget: StageBudget, *results: StudyResult) -> Report:
    trials = [trial for result in results for trial in result.trials]
    first = search.scoring.first
    mode, metric = first.mode, first.metric
    states = [trial.state for trial in trials]
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    total = ", ".join(f"{count} {state}" for state, count in counts.items())
    best = [f"; best {metric} {one.score:.4f}" for one in ranked(trials, mode=mode)[:1]]
    lines = [f"{budget.stage}: {total}{''.join(best)}"]
    lines += [_describe_result(budget.stage, result) for result in results]
    if resumed := [trial.resumed_epoch for trial in trials if trial.resumed_from]:
        epochs = f"{sum(resumed)} epochs were not trained again"
        lines.append(f"{budget.stage}: {len(resumed)} trials resumed where others ended; {epochs}")
    return plain(
        {
            "enabled": True,
            "headline": lines,
            "studies": [result.name for result in results],
            "counts": counts,
            "budget": {"trials": budget.trials, "epochs": budget.epochs, "why": budget.reason},
            "sampler": budget.sampler,
            "pruner": budget.pruner,
            "stopped": [result.stopped for result in results if result.stopped],
            "notes": [note for result in results for note in result.notes],
            "seconds": sum(result.seconds for result in results),
        }
    )


def _list_range_changes(
    search: Search, space: Space, results: Sequence[StudyResult]
) -> list[dict[str, Any]]:
    """List what an adaptive search did to its ranges, and why."""
    strategy = search.tuning.config.strategy
    if strategy.kind != "adaptive":
        return []
    mode = search.scoring.first.mode
    trials = [trial for result in results for trial in result.trials]
    return plain([asdict(one) for one in adaptive_decisions(space, trials, strategy, mode)])


def _describe_result(stage: str, result: StudyResult) -> str:
    if result.stopped:
        return f"{stage}: stopped early, {result.stopped}"
    if not result.num_new:
        return f"{stage}: nothing to do, all trials exist already (study {result.name})"
    took = format_duration(result.seconds)
    return f"{stage}: {result.num_new} new trials in {took} (study {result.name})"
