"""The analysis of trials: statistics, the narrowed space, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from seqtune.core.config import Section
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import flatten
from seqtune.core.task import Report
from seqtune.core.trials import Params, Trial
from seqtune.tuning.analysis.importance import importance
from seqtune.tuning.analysis.param_stats import Mode
from seqtune.tuning.analysis.rank_correlation import estimated_rank_correlation, rank_correlation
from seqtune.tuning.analysis.stage_analysis import analyse
from seqtune.tuning.narrowing.narrow import narrow
from seqtune.tuning.parameters import TuningParameters, task_space
from seqtune.tuning.spaces.space import Space

from .._best_config import read_section
from .search import scoring_of, without_fixed_params
from .tables import plain, read_trials_table

if TYPE_CHECKING:
    import pandas as pd

    from seqtune.reporting.figures import Figure


_NARROW_AGAIN = (
    "choose another version with --load-versions, or narrow again (`kedro run --nodes "
    "{}.tune.quick.narrow`)"
)


class NarrowedSpace(Section):
    """What `narrow` writes for the medium stage, and people edit."""

    space: dict[str, Any]
    queue: list[dict[str, Any]] = Field(default_factory=list)


def analyse_stage(
    parameters: TaskParameters,
    tuning: TuningParameters,
    space: Space,
    table: pd.DataFrame,
    report: Report,
    *,
    top: int,
) -> Report:
    """Analyse the trials of one stage; `space` is what it searched."""
    trials = read_trials_table(table)
    config = parameters.resolve().config
    space = without_fixed_params(space, parameters)
    goal = scoring_of(parameters, tuning).first
    mode, metric = goal.mode, goal.metric
    found = analyse(
        trials,
        space=space,
        metric=metric,
        mode=mode,
        importance=importance(trials, space, mode=mode, sampler=report.get("sampler", "")),
        top=top,
        training_values=dict(flatten(config.model_dump(mode="json"))),
    )
    return plain({**found.as_dict(), "agreement": _agreement(trials, report, mode=mode)})


def _agreement(trials: Sequence[Trial], report: Report, *, mode: Mode) -> dict[str, Any] | None:
    """Measure how well the ranking after the quick stage's epochs predicts the final one."""
    at_epoch = (report.get("epochs") or {}).get("quick")
    if at_epoch is None or not any(trial.num_epochs > at_epoch for trial in trials):
        return None
    return rank_correlation(trials, at_epoch=at_epoch, mode=mode).as_dict()


def narrow_space(
    parameters: TaskParameters, tuning: TuningParameters, table: pd.DataFrame, report: Report
) -> tuple[dict[str, Any], Report, Figure]:
    """Return the narrowed space as YAML, every decision as a table, and both as a figure."""
    from seqtune.reporting import figures

    trials = read_trials_table(table)
    mode = scoring_of(parameters, tuning).first.mode
    space, target = (
        without_fixed_params(tuning.spaces[name], parameters) for name in ("quick", "medium")
    )
    epochs = report.get("epochs") or {}  # holds only stages that are switched on
    short = epochs.get("quick", 1)
    agreement = estimated_rank_correlation(
        trials, short_epochs=short, long_epochs=epochs.get("medium", short), mode=mode
    )
    narrowed = narrow(
        trials,
        space=space,
        target=target,
        config=tuning.config.narrowing,
        importance=importance(trials, space, mode=mode, sampler=report.get("sampler", "")),
        mode=mode,
        rank_correlation=agreement.value,
    )
    result = narrowed.as_dict()
    written = plain(NarrowedSpace(space=result["space"], queue=result["queue"]).model_dump())
    findings = plain({**result, "agreement": agreement.as_dict(), "headline": _headline(result)})
    figure = figures.narrowing(result["decisions"], refused=result["refused"])
    return written, findings, figure


def narrowed_space(parameters: TaskParameters, narrowed: Any) -> tuple[Space, list[Params]]:
    """Read the narrowed space, perhaps edited by hand, and its queue."""
    root, hint = f"{parameters.task}.narrowed_space", _NARROW_AGAIN.format(parameters.task)
    found = read_section(NarrowedSpace, narrowed, what=root, hint=hint)
    values, known = parameters.searchable(found.space, root=f"{root}.space")
    space = task_space(
        values, task=parameters.task, stage="medium", known=known, root=f"{root}.space"
    )
    return space, [
        space.checked(values, root=f"{root}.queue[{index}]")
        for index, values in enumerate(found.queue)
    ]


def _headline(result: Mapping[str, Any]) -> list[str]:
    if result["refused"]:
        return [f"narrow: nothing was narrowed, {result['refused']}"]
    actions = [decision["action"] for decision in result["decisions"]]
    counts = ", ".join(f"{action} {actions.count(action)}" for action in dict.fromkeys(actions))
    return [f"narrow: {counts}; configurations queued: {len(result['queue'])}", *result["notes"]]


def draw_stage(
    tuning: TuningParameters, table: pd.DataFrame, analysis: Report, *, stage: str
) -> tuple[Figure, ...]:
    """Draw the figures of a stage, in the order of `pipeline.FIGURES`."""
    from seqtune.reporting import figures

    trials = read_trials_table(table)
    metric, mode = analysis["metric"], analysis["mode"]
    space = tuning.spaces[stage]
    axes: dict[str, Any] = {"metric": metric, "mode": mode}
    log = [parameter.key for parameter in space.parameters if parameter.log]
    found = analysis["importance"]
    goals = [(goal.metric, goal.mode) for goal in tuning.config.objectives]
    return (
        figures.history(trials, **axes),
        figures.importances(
            found["values"], note=found.get("note", ""), is_noise=found.get("is_noise", False)
        ),
        figures.parallel_coordinates(trials, log=log, **axes),
        figures.slices(trials, log=log, **axes),
        figures.intermediate_values(trials, **axes),
        figures.timeline(trials),
        figures.pareto_front(trials, goals=goals),
    )
