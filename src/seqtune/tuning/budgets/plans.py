"""Plan the budget of each stage: from a name, from a duration, or as written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.format import end_sentence, format_duration

from ..config import (
    STAGES,
    Goal,
    PrunerKind,
    RerankConfig,
    SamplerKind,
    StageConfig,
    TuningConfig,
)
from ..objectives.scoring import known_at_the_end
from ..spaces.space import Space
from .durations import EXAMPLES, parse_duration
from .sizes import BUDGETS, DEFAULT_SIZES, Size, SizedStage, of_total
from .time_budget import OFF, TimedStage, plan_duration

SEARCHING = ("quick", "medium")
MAX_GP_PARAMETERS = 20
MAX_GP_TRIALS = 200


@dataclass(frozen=True)
class StageBudget:
    """The budget of one stage and how it searches, without open choices."""

    stage: str
    trials: int
    """Finished trials in all."""
    epochs: int
    timeout_seconds: float | None
    """Wall clock; running trials finish."""
    sampler: SamplerKind
    """Never auto."""
    pruner: PrunerKind
    reason: str
    """Source of the numbers, for the report."""
    rerank: RerankConfig = field(default_factory=RerankConfig)
    """Of the best trials of this stage, where it is the last one."""


def plan_stages(
    config: TuningConfig,
    *,
    spaces: Mapping[str, Space],
    seconds_per_epoch: float | None,
    num_workers: int,
    own_epochs: int | None = None,
    root: str = "tuning",
) -> dict[str, StageBudget]:
    """Plan every enabled stage, in order; a duration, with no more epochs than `own_epochs`, those
    of the default configuration.

    Only a duration needs `seconds_per_epoch`, start-up included; if it is None, a duration plans
    only the test stage. Take it from stored trials: another value can give other epochs, and so
    another study.
    """
    stages = enabled_stages(config, root=root)
    _require_something_searched(stages, spaces)
    if config.budget in BUDGETS:
        planned = {stage: _by_name(config, stage) for stage in stages}
    else:
        planned = _by_duration(
            config, stages, seconds_per_epoch, num_workers, own_epochs=own_epochs, root=root
        )
    return {
        stage: _settled(config, stage, planned[stage], space=spaces.get(stage, Space()))
        for stage in stages
        if stage in planned
    }


def enabled_stages(config: TuningConfig, *, root: str = "tuning") -> tuple[str, ...]:
    """Return the stages that are enabled as written, or else by the budget."""
    _require_budget(config.budget, root=root)
    by_budget = BUDGETS.get(config.budget, BUDGETS["standard"])
    enabled = {stage: _written(config, stage).enabled for stage in STAGES}
    return tuple(
        stage for stage, on in enabled.items() if (stage in by_budget if on is None else on)
    )


def settle_sampler(
    wanted: SamplerKind,
    *,
    stage: str,
    space: Space,
    trials: int,
    num_goals: int = 1,
    adaptive: bool = False,
    by_importance: bool = False,
) -> SamplerKind:
    """Choose the sampler for `auto`; any other one stays.

    By measurements on surrogates of learning curves (decision 0017): random for test and seed; tpe
    if ranges move; sobol in quick if narrowing uses importance; gp within its limits, beyond which
    it has not been compared; else tpe.
    """
    if wanted != "auto":
        return wanted
    if stage not in SEARCHING:
        return "random"
    if adaptive:
        return "tpe"
    if stage == "quick" and by_importance:
        return "sobol"
    num_varying = sum(not parameter.is_single for parameter in space.parameters)
    suits_gp = (
        num_goals == 1
        and not space.is_conditional
        and num_varying <= MAX_GP_PARAMETERS
        and trials <= MAX_GP_TRIALS
    )
    return "gp" if suits_gp else "tpe"


def settle_pruner(
    wanted: PrunerKind, sampler: SamplerKind, *, goals: Sequence[Goal] = ()
) -> PrunerKind:
    """Choose the pruner for `auto`; any other one stays.

    None if the goal is known only at the end, and with the Gaussian process, which learns nothing
    from pruned trials: with them its regret at the same cost was twice as high. None for several
    goals: Pareto fronts helped on smooth curves and hurt on noisy ones (decision 0067).
    """
    if wanted != "auto":
        return wanted
    is_median = sampler != "gp" and len(goals) < 2 and not known_at_the_end(goals)
    return "median" if is_median else "none"


def _require_budget(budget: str, *, root: str) -> None:
    if budget in BUDGETS:
        return
    if budget.strip()[:1].isdigit():
        parse_duration(budget, root=f"{root}.budget")
        return
    raise ConfigurationError(
        f"{root}.budget={budget!r} is neither a budget nor a duration; "
        f"{end_sentence(did_you_mean(budget, list(BUDGETS)))} A duration is written like {EXAMPLES}"
    )


def _require_something_searched(stages: tuple[str, ...], spaces: Mapping[str, Space]) -> None:
    faults = [
        f"nothing is searched in the stage {stage}; declare at least one parameter in "
        f"<task>.tuning.spaces.{stage}, or set tuning.stages.{stage}.enabled to false"
        for stage in SEARCHING
        if stage in stages and stage in spaces and not spaces[stage].parameters
    ]
    if faults:
        raise ConfigurationError(faults)


def _by_name(config: TuningConfig, stage: str) -> SizedStage:
    written = _written(config, stage)
    size = _sizes(config).get(stage, DEFAULT_SIZES[stage])
    trials = _given_trials(config, stage) or size.trials
    size = Size(trials, written.epochs or size.epochs)
    return SizedStage(size, written.timeout_seconds, f"budget {config.budget}")


def _sizes(config: TuningConfig) -> Mapping[str, Size]:
    """Return the size of each stage that the named budget has."""
    if config.budget == "standard" and config.standard_trials is not None:
        return of_total(config.standard_trials)
    return BUDGETS.get(config.budget, {})


def _by_duration(
    config: TuningConfig,
    stages: tuple[str, ...],
    seconds_per_epoch: float | None,
    num_workers: int,
    *,
    own_epochs: int | None,
    root: str,
) -> dict[str, SizedStage]:
    test = {"test": _by_name(config, "test")} if "test" in stages else {}
    if seconds_per_epoch is None:
        if not test:
            raise ConfigurationError(
                f"{root}.budget={config.budget!r} is planned by what the test stage took; set "
                f"{root}.stages.test.enabled to true, or choose one of {', '.join(BUDGETS)}"
            )
        return test
    timed = plan_duration(
        parse_duration(config.budget, root=f"{root}.budget"),
        stages=[_timed(config, stage, stages, own_epochs) for stage in stages if stage != "test"],
        test=test["test"].size if test else None,
        seconds_per_epoch=seconds_per_epoch,
        num_workers=num_workers,
        root=root,
    )
    return {**test, **timed}


def _timed(
    config: TuningConfig, stage: str, stages: tuple[str, ...], own_epochs: int | None
) -> TimedStage:
    written = _written(config, stage)
    last_search = [one for one in SEARCHING if one in stages][-1:]
    is_reranked = [stage] == last_search and len(config.objectives) <= 1
    return TimedStage(
        stage=stage,
        trials=_given_trials(config, stage),
        epochs=written.epochs,
        timeout_seconds=written.timeout_seconds,
        is_pruned=_pruner(config, stage) not in ("none", "auto"),
        most_epochs=own_epochs,
        rerank=config.rerank if is_reranked else OFF,
    )


def _given_trials(config: TuningConfig, stage: str) -> int | None:
    """Return the trials as written; a grouped search has the trials of its groups."""
    strategy = config.strategy
    if stage == "medium" and strategy.kind == "grouped":
        chosen = [one for one in strategy.groups if strategy.only_group in (None, one.name)]
        return sum(group.trials for group in chosen)
    return _written(config, stage).trials


def _settled(config: TuningConfig, stage: str, planned: SizedStage, *, space: Space) -> StageBudget:
    sampler = settle_sampler(
        _written(config, stage).sampler or config.sampler.kind,
        stage=stage,
        space=space,
        trials=planned.size.trials,
        num_goals=max(1, len(config.objectives)),
        adaptive=config.strategy.kind == "adaptive",
        by_importance=config.narrowing.policy == "guide",
    )
    return StageBudget(
        stage=stage,
        trials=planned.size.trials,
        epochs=planned.size.epochs,
        timeout_seconds=planned.timeout_seconds,
        sampler=sampler,
        pruner=settle_pruner(_pruner(config, stage), sampler, goals=config.objectives),
        reason=_reason(config, stage, planned),
        rerank=planned.rerank or config.rerank,
    )


def _reason(config: TuningConfig, stage: str, planned: SizedStage) -> str:
    written = _written(config, stage)
    given = [name for name in ("trials", "epochs") if getattr(written, name) is not None]
    if stage == "medium" and config.strategy.kind == "grouped":
        given = ["trials of the groups", *(["epochs"] if written.epochs else [])]
    reason = f"{planned.size}: {planned.reason}"
    if given:
        reason += f"; {' and '.join(given)} as written in tuning.stages.{stage}"
    if planned.timeout_seconds is not None:
        reason += f"; at most {format_duration(planned.timeout_seconds)}"
    return reason


def _pruner(config: TuningConfig, stage: str) -> PrunerKind:
    """Return the pruner; in the test and the seed stage every trial is needed in full."""
    written = _written(config, stage).pruner
    return written or (config.pruner.kind if stage in SEARCHING else "none")


def _written(config: TuningConfig, stage: str) -> StageConfig:
    written: StageConfig = getattr(config.stages, stage)
    return written
