"""The parameters of the engine: `tuning` in YAML for all tasks, `<task>.tuning` for one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from seqtune.core.config import PositiveInt, Section

from .sampling.registry import PRUNERS, SAMPLERS

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Minutes = Annotated[float, Field(gt=0.0)]
SamplerKind = Annotated[
    str, AfterValidator(SAMPLERS.check), WithJsonSchema({"enum": SAMPLERS.allowed()})
]
PrunerKind = Annotated[
    str, AfterValidator(PRUNERS.check), WithJsonSchema({"enum": PRUNERS.allowed()})
]
STAGES = ("test", "quick", "medium", "seed")


class SamplerConfig(Section):
    """What proposes the next configuration."""

    kind: SamplerKind = "auto"
    """auto: by the space, the budget and what has been measured (docs/guide, "Samplers")."""
    startup_trials: PositiveInt = 10
    """Space-filling trials before a model is fitted."""
    candidates: PositiveInt = 24
    """TPE: candidates compared for each trial."""
    grid_points: Annotated[int, Field(ge=2)] = 5
    """Grid: values of a range without a step."""


class PrunerConfig(Section):
    """What stops a trial that is not worth its remaining epochs."""

    kind: PrunerKind = "auto"
    """auto: median; none for several goals, and where the Gaussian process proposes, which
    overlooks pruned trials."""
    startup_trials: Annotated[int, Field(ge=0)] = 5
    """Complete trials that must be there before one is pruned."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 3
    """No trial is pruned before; the larger of this and `warmup_share` counts."""
    warmup_share: Share = 0.1
    """Share of a stage's epochs."""
    interval: PositiveInt = 1
    """Epochs between decisions."""
    percentile: Annotated[float, Field(gt=0.0, lt=100.0)] = 25.0
    """percentile: the share of earlier trials (in per cent) that survives."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """halving and hyperband."""
    patience: PositiveInt = 5
    """patience: epochs without improvement."""
    p_threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """wilcoxon."""


class StageConfig(Section):
    """The budget of a stage. A null is filled in by the budget."""

    enabled: bool | None = None
    """null: by the budget; all stages but `seed` are on in every budget."""
    trials: PositiveInt | None = None
    """Finished trials in all, those of earlier runs included. null: by the budget."""
    epochs: PositiveInt | None = None
    """Of each trial. null: by the budget."""
    timeout_minutes: Minutes | None = None
    """Wall clock; trials under way are finished. null: none."""
    sampler: SamplerKind | None = None
    """null: `sampler.kind`; for auto, stage by stage what was measured best."""
    pruner: PrunerKind | None = None
    """null: `pruner.kind`."""

    @property
    def timeout_seconds(self) -> float | None:
        return None if self.timeout_minutes is None else self.timeout_minutes * 60


class StagesConfig(Section):
    test: StageConfig = StageConfig(pruner="none")
    quick: StageConfig = StageConfig()
    medium: StageConfig = StageConfig()
    seed: StageConfig = StageConfig(sampler="random", pruner="none")


class NarrowingConfig(Section):
    """From the quick stage to the space of the medium stage."""

    policy: Literal["safe", "guide", "none"] = "safe"
    """guide: the rules of the table in the guide, hard. safe: the same table with margins, and
    refused where short and long training do not rank alike. none: the medium space as written."""
    top_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    """Share of the finished trials that counts as the best."""
    margin: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """safe: added on each side, as a share of the band of the top trials."""
    min_rank_correlation: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.6
    """safe: below it nothing is narrowed."""
    queue_best: Annotated[int, Field(ge=0)] = 3
    """Best configurations of the quick stage that the medium stage runs first."""
    states_gib: Annotated[float, Field(ge=0.0)] = 5.0
    """Disk for the last states of these trials, from which the medium stage resumes their training
    instead of starting it again. 0: none is kept."""


class GapPenalty(Section):
    """Take from the score what looks like overfitting."""

    enabled: bool = False
    """Whether it is taken from the score."""
    metric: str | None = None
    """The train-side metric; null: `train_` in the place of `val_` in the monitored one."""
    threshold: Annotated[float, Field(ge=0.0)] = 0.02
    """A gap up to it costs nothing."""
    weight: Annotated[float, Field(ge=0.0)] = 0.5
    """Share of the gap that is taken away."""


class Goal(Section):
    """One of several objectives."""

    metric: str
    """What is measured: what validation logs, train_*, model_mib, num_parameters,
    inference_ms_per_row, peak_memory_mib, fit_seconds, or what a task measures on trained weights
    (decoded_*, decoding_seconds_per_row)."""
    mode: Literal["max", "min"]
    """Whether more or less is better."""
    weight: Annotated[float, Field(ge=0.0)] = 1.0
    """pick weights: how much it counts."""
    bound: float | None = None
    """pick bounds: at least (max) or at most (min) this."""


class PickConfig(Section):
    """Which trial of the Pareto front is taken."""

    by: Literal["weights", "knee", "bounds"] = "weights"
    """weights: the largest weighted mean; knee: nearest to the best of every goal; bounds: the best
    first goal within all bounds."""


class ForbiddenConfig(Section):
    """A combination that is refused: all conditions hold at once. No code is evaluated."""

    name: str
    """What the reason of a refused trial calls it."""
    when: dict[str, Any]
    """Key: a value, a list of values, or {above: x, below: y}."""


class GuardConfig(Section):
    max_failures_in_a_row: PositiveInt = 5
    """After this many the stage stops with an explanation."""
    max_infeasible_in_a_row: PositiveInt = 50
    """The same for trials that could not be run here."""
    trial_timeout_minutes: Minutes | None = None
    """A trial that takes longer is killed and recorded as failed. null: none."""
    max_retries: Annotated[int, Field(ge=0)] = 3
    """How often a trial that died with its process is run again."""
    memory_limit_mib: PositiveInt | Literal["auto", "none"] = "auto"
    """Estimated memory of a trial above it is refused; auto: what the device or machine has,
    shared among the workers."""
    dry_run: bool = True
    """One batch of training and of validation before a trial."""


class GroupConfig(Section):
    name: str
    """A group of the space, or all."""
    trials: PositiveInt
    """Finished trials that it gets."""


class StrategyConfig(Section):
    kind: Literal["plain", "grouped", "adaptive"] = "plain"
    """plain: one search; grouped: groups one after another; adaptive: ranges that move."""
    groups: tuple[GroupConfig, ...] = ()
    """grouped: searched in this order, best values carried forward; "all" is every group."""
    only_group: str | None = None
    """grouped: run this one alone."""
    window: PositiveInt = 10
    """adaptive: trials looked back upon."""
    min_improvement: Annotated[float, Field(ge=0.0)] = 0.01
    """adaptive: less than this in a window shrinks ranges, else they widen."""
    shrink: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.7
    """adaptive: what a range is multiplied by."""
    widen: Annotated[float, Field(gt=1.0)] = 1.3
    """adaptive: the same when ranges widen."""

    @model_validator(mode="after")
    def _groups_fit_the_kind(self) -> StrategyConfig:
        names = [group.name for group in self.groups]
        if self.kind == "grouped" and not names:
            raise ValueError(
                "kind=grouped needs groups, each with name and trials; for example "
                "[{name: model, trials: 20}, {name: all, trials: 20}]"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"groups are named twice: {', '.join(names)}")
        if self.only_group is not None and self.only_group not in names:
            raise ValueError(
                f"only_group={self.only_group!r} is not among the groups ({', '.join(names)})"
            )
        return self


class RerankConfig(Section):
    """The best trials of the last stage, again, over fresh seeds that they share."""

    top: Annotated[int, Field(ge=0)] = 5
    """0 switches it off."""
    seeds: Annotated[int, Field(ge=0)] = 3
    """0 switches it off."""

    @property
    def enabled(self) -> bool:
        return self.top > 0 and self.seeds > 0

    @property
    def num_runs(self) -> int:
        """Trainings that it takes, those of the default configuration included."""
        return (self.top + 1) * self.seeds + 1 if self.enabled else 0


class StorageConfig(Section):
    """How studies are stored; the catalog and credentials say where (`study`)."""

    backups: Annotated[int, Field(ge=0)] = 5
    """Copies of the study file kept from before earlier runs."""
    heartbeat_seconds: PositiveInt = 15
    """How often a worker sends a heartbeat."""
    grace_seconds: PositiveInt = 60
    """After this long without a heartbeat, a trial of another machine counts as lost."""
    proxy: Annotated[str, Field(pattern=r"^[^\s/@]+:\d{1,5}$")] | None = None
    """host:port of `python -m seqtune.tuning.studies.proxy`, which workers use instead of the
    database, without its password. null: they use the database."""


class TuningConfig(Section):
    """Everything about a search but its spaces."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Of the search; that of training is the task's."""
    workers: PositiveInt | Literal["auto"] = "auto"
    """auto: one for each GPU; on a CPU one for each core, up to 8, each with one thread."""
    budget: str = "standard"
    """standard, one_day, three_days, one_week, quick, thorough, extensive, or a duration (6h)."""
    standard_trials: PositiveInt | None = None
    """Trials of the budget standard, divided like those of quick, thorough and extensive; null: 100
    in quick and 50 in medium."""
    stages: StagesConfig = StagesConfig()
    sampler: SamplerConfig = SamplerConfig()
    pruner: PrunerConfig = PrunerConfig()
    narrowing: NarrowingConfig = NarrowingConfig()
    gap_penalty: GapPenalty = GapPenalty()
    objectives: tuple[Goal, ...] = ()
    """Several goals; empty: the monitored metric alone."""
    pick: PickConfig = PickConfig()
    forbidden: tuple[ForbiddenConfig, ...] = ()
    guards: GuardConfig = GuardConfig()
    strategy: StrategyConfig = StrategyConfig()
    queue: tuple[dict[str, Any], ...] = ()
    """Known good configurations, run first; nested or dotted keys of the space."""
    warm_start: str | None = None
    """Name of a finished study whose trials the sampler learns from."""
    rerank: RerankConfig = RerankConfig()
    storage: StorageConfig = StorageConfig()
