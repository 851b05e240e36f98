"""Plan trials and epochs for a duration, by the measured seconds per epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seqtune.core.errors import ConfigurationError
from seqtune.core.format import format_duration

from ..config import RerankConfig
from .sizes import DEFAULT_SIZES, Size, SizedStage

OFF = RerankConfig(top=0)
SHARES = {"quick": 0.4, "medium": 0.6, "seed": 0.2}
"""Of the time, among the enabled stages. Re-ranking takes time of its stage."""
LEAST = {"quick": Size(10, 5), "medium": Size(6, 10), "seed": Size(3, 10)}
"""Smallest useful sizes: a sampler's start-up takes 10 trials, which medium has had in quick, and
the rank correlation with the end is 0.83 after 5 of 52 epochs, 0.74 after 3."""
ENOUGH_TRIALS = {"quick": 25, "medium": 20, "seed": 5}
"""Epochs are reduced until this many trials fit: below 25, importances are noise."""
MOST_TRIALS = 500
"""More add little, and a sampler's own time grows with them."""
EPOCH_STEP = 5
SAVED_BY_PRUNING = 0.3
"""Assumed share of a stage's epochs that a pruner saves; cautious, so that a plan ends early."""
MOST_RERANKING = 0.5
"""Share of a stage's time; a re-ranking that would take more has fewer trials, then seeds."""
LEAST_RERANKING = 2
"""Trials, and seeds of each."""


@dataclass(frozen=True)
class TimedStage:
    """A stage before the time is divided; None means to be planned."""

    stage: str
    trials: int | None = None
    epochs: int | None = None
    timeout_seconds: float | None = None
    is_pruned: bool = True
    most_epochs: int | None = None
    """Of the default configuration: a trial that is to compare with it trains no longer."""
    rerank: RerankConfig = OFF
    """Its full trainings are in this stage's time."""

    def lengths(self) -> Sequence[int]:
        """Return the possible numbers of epochs, the longest first."""
        if self.epochs is not None:
            return (self.epochs,)
        longest = DEFAULT_SIZES[self.stage].epochs
        steps = range(longest, LEAST[self.stage].epochs - 1, -EPOCH_STEP)
        if self.most_epochs is None or self.most_epochs >= longest:
            return steps
        return (self.most_epochs, *(step for step in steps if step < self.most_epochs))

    def rerankings(self) -> Iterator[RerankConfig]:
        """Yield the possible sizes of the re-ranking, the largest first."""
        size = self.rerank
        yield size
        for name in ("top", "seeds"):
            while getattr(size, name) > LEAST_RERANKING:
                size = size.model_copy(update={name: getattr(size, name) - 1})
                yield size

    @property
    def least(self) -> Size:
        return Size(self.trials or LEAST[self.stage].trials, self.lengths()[-1])

    @property
    def least_rerank(self) -> RerankConfig:
        return list(self.rerankings())[-1]


@dataclass(frozen=True)
class CostModel:
    """The cost of trainings on this machine."""

    seconds_per_epoch: float
    num_workers: int

    def training(self, epochs: int, *, is_pruned: bool = False) -> float:
        """Return the average seconds of one trial."""
        return epochs * self.seconds_per_epoch * (1 - SAVED_BY_PRUNING * is_pruned)

    def reranking(self, rerank: RerankConfig, epochs: int) -> float:
        """Return the wall-clock seconds of a re-ranking: whole rounds without pruning."""
        return math.ceil(rerank.num_runs / self.num_workers) * self.training(epochs)

    def stage(self, stage: TimedStage, size: Size, rerank: RerankConfig) -> float:
        """Return the wall-clock seconds of a stage with re-ranking; at least one whole trial."""
        one = self.training(size.epochs, is_pruned=stage.is_pruned)
        searching = max(size.trials * one / self.num_workers, self.training(size.epochs))
        return searching + self.reranking(rerank, size.epochs)

    def fitting_rerank(self, stage: TimedStage, epochs: int, seconds: float) -> RerankConfig:
        """Return the largest re-ranking that leaves enough of the stage's time to its search."""
        most = MOST_RERANKING * seconds
        fitting = (one for one in stage.rerankings() if self.reranking(one, epochs) <= most)
        return next(fitting, stage.least_rerank)

    def affordable(self, stage: TimedStage, epochs: int, seconds: float) -> int:
        """Return how many trials of this length fit into the time."""
        kept = self.reranking(self.fitting_rerank(stage, epochs, seconds), epochs)
        left = min(seconds - kept, stage.timeout_seconds or math.inf)
        if left < self.training(epochs):
            return 0
        return int(left * self.num_workers / self.training(epochs, is_pruned=stage.is_pruned))


def plan_duration(
    total_seconds: float,
    *,
    stages: Sequence[TimedStage],
    test: Size | None,
    seconds_per_epoch: float,
    num_workers: int,
    root: str,
) -> dict[str, SizedStage]:
    """Plan trials, epochs and wall clock of each stage so that all end within the duration.

    The time without the test stage is divided by `SHARES`. Trials are reduced first, then epochs in
    steps of 5, then trials down to `LEAST`; the re-ranking never takes more than its share, unless
    it is the smallest.
    """
    clock = CostModel(seconds_per_epoch, num_workers)
    spent = clock.stage(TimedStage("test", is_pruned=False), test, OFF) if test else 0.0
    shares = {one.stage: SHARES[one.stage] for one in stages}
    parts = {name: share / sum(shares.values()) for name, share in shares.items()}
    open_stages = [one for one in stages if one.trials is None or one.epochs is None]
    least = (
        clock.stage(one, one.least, one.least_rerank) / parts[one.stage] for one in open_stages
    )
    needed = spent + max(least, default=0.0)
    if needed > total_seconds:
        raise _too_short(total_seconds, needed, stages=open_stages, clock=clock, root=root)
    return {
        one.stage: _plan(one, (total_seconds - spent) * parts[one.stage], clock=clock)
        for one in stages
    }


def _plan(stage: TimedStage, seconds: float, *, clock: CostModel) -> SizedStage:
    size = _fitting(stage, seconds, clock=clock)
    rerank = clock.fitting_rerank(stage, size.epochs, seconds)
    timeout = seconds - clock.reranking(rerank, size.epochs)
    return SizedStage(
        size,
        # with given trials and epochs, re-ranking may leave no time
        stage.timeout_seconds or max(timeout, clock.training(size.epochs)),
        _reason(stage, size, rerank, seconds, clock=clock),
        rerank if rerank.enabled else None,
    )


def _fitting(stage: TimedStage, seconds: float, *, clock: CostModel) -> Size:
    wanted = stage.trials or ENOUGH_TRIALS[stage.stage]
    size = stage.least
    for epochs in stage.lengths():
        num_trials = clock.affordable(stage, epochs, seconds)
        size = Size(stage.trials or min(num_trials, MOST_TRIALS), epochs)
        if num_trials >= wanted:
            break
    return Size(max(size.trials, stage.least.trials), size.epochs)


def _reason(
    stage: TimedStage, size: Size, rerank: RerankConfig, seconds: float, *, clock: CostModel
) -> str:
    parts = [
        f"{format_duration(seconds)} at {clock.seconds_per_epoch:.3g} s per epoch on "
        f"{clock.num_workers} worker{'s' if clock.num_workers > 1 else ''}"
    ]
    if rerank.enabled:
        kept = format_duration(clock.reranking(rerank, size.epochs))
        parts.append(f"{kept} of it kept for {rerank.num_runs} trainings of the re-ranking")
    if rerank != stage.rerank:
        parts.append(
            f"which compares {rerank.top} trials over {rerank.seeds} seeds instead of "
            f"{stage.rerank.top} over {stage.rerank.seeds}, so that half of the time is left"
        )
    if stage.is_pruned:
        parts.append(f"pruning assumed to save {SAVED_BY_PRUNING:.0%}")
    longest = stage.lengths()[0]
    if stage.epochs is None and longest < DEFAULT_SIZES[stage.stage].epochs:
        parts.append(f"no more epochs than the {longest} of the default configuration")
    if size.epochs < longest:
        parts.append(f"shortened from {longest} epochs, so that enough trials fit")
    if stage.trials is None and size.trials == MOST_TRIALS:
        parts.append(f"no more than {MOST_TRIALS} trials, more add little")
    if clock.stage(stage, size, rerank) > seconds:
        parts.append("the given sizes take longer: the wall clock will end it")
    return ", ".join(parts)


def _too_short(
    total_seconds: float,
    needed: float,
    *,
    stages: Sequence[TimedStage],
    clock: CostModel,
    root: str,
) -> ConfigurationError:
    least = ", ".join(
        f"{one.stage} {one.least}"
        + (
            f" and {one.least_rerank.num_runs} trainings of the re-ranking"
            if one.rerank.enabled
            else ""
        )
        for one in stages
    )
    minutes = math.ceil(needed / 60)
    return ConfigurationError(
        f"{root}.budget: {format_duration(total_seconds)} is too short at "
        f"{clock.seconds_per_epoch:.3g} s per epoch and {clock.num_workers} at a time. The "
        f"smallest useful plan ({least}) takes {minutes}m; allow that, or set trials and epochs "
        f"yourself ({root}.stages)"
    )
