"""The best trials again over fresh seeds: a single seed flatters whoever came first.

The best of 50 single-seed trials is 1.6 standard deviations of the noise too good. So the leaders
are trained again over seeds that they share and that the search never saw; the best mean
wins. The same arithmetic serves the seed stage, which measures how much of a score is luck.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from seqtune.core.errors import TuningError
from seqtune.core.seeds import derive_seed
from seqtune.core.trials import Params, Trial, ranked

from .param_stats import Mode

SEED = "seed"
"""The key of the seed among the parameters of a rerun."""


@dataclass(frozen=True)
class RerankRow:
    """One candidate before and after."""

    trial: int
    """Its number in the search."""
    params: Params
    single: float
    """Its score in the search, with one seed."""
    rank_before: int
    rank_after: int | None
    """None without a rerun."""
    mean: float | None
    std: float | None
    """Over the seeds; None for fewer than two."""
    min: float | None
    max: float | None
    num: int
    """Seeds that went through."""
    scores: Mapping[int, float]
    """By seed."""
    note: str = ""


@dataclass(frozen=True)
class Reranked:
    """Who won over fresh seeds."""

    rows: tuple[RerankRow, ...]
    """Best first."""
    chosen: Trial
    """The candidate's trial in the search."""
    inflation: float | None
    """By how much the search's best score was better than its mean over fresh seeds (above 0: too
    good)."""
    is_beyond_noise: bool | None
    """Whether the lead over the runner-up exceeds the noise; None where that cannot be said."""
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "chosen": self.chosen.number,
            "params": dict(self.chosen.params),
            "inflation": self.inflation,
            "is_beyond_noise": self.is_beyond_noise,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class SeedReport:
    """How one configuration does over many seeds."""

    num: int
    mean: float
    std: float
    min: float
    max: float
    inflation: float
    """By how much the best seed looks better than the mean."""
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def candidates(trials: Sequence[Trial], *, top: int, mode: Mode) -> list[Trial]:
    """The best complete trials, each configuration once."""
    found: dict[tuple[tuple[str, Any], ...], Trial] = {}
    for trial in ranked(trials, mode=mode):
        found.setdefault(_configuration(trial.params), trial)
    return list(found.values())[:top]


def fresh_seeds(seed: int, *, num: int, below: int = 2**32) -> tuple[int, ...]:
    """Seeds that follow from the study's, none equal to it or to another."""
    if num >= below:
        raise TuningError(f"there are not {num} seeds below {below}; ask for fewer")
    found: list[int] = []
    place = 0
    while len(found) < num:
        fresh = derive_seed(seed, "rerank", place) % below
        place += 1
        if fresh != seed and fresh not in found:
            found.append(fresh)
    return tuple(found)


def rerank_queue(found: Sequence[Trial], seeds: Sequence[int]) -> list[Params]:
    """What to run: seed by seed, so that a run cut short has compared like with like."""
    return [{**_without_seed(trial.params), SEED: seed} for seed in seeds for trial in found]


def judge(found: Sequence[Trial], reruns: Sequence[Trial], *, mode: Mode) -> Reranked:
    """The candidate with the best mean over fresh seeds (of the score, penalties included).

    Only candidates that went through as many seeds as any other compete: one that failed on a seed
    is less stable, and means over different seeds do not compare.
    """
    if not found:
        raise TuningError(
            "no candidate to judge: the search has no complete trial; run more trials, or see why "
            "they failed in the report of its stage"
        )
    scored = [_row(rank, trial, reruns) for rank, trial in enumerate(found, start=1)]
    most = max(row.num for row in scored)
    if not most:
        reason = f"no rerun went through: trial {found[0].number} leads by its single seed alone"
        return Reranked(tuple(scored), found[0], None, None, reason)
    rows = _placed(scored, most, mode)
    leader = next(row for row in rows if row.rank_before == 1)
    inflation = None if leader.mean is None else _better_by(leader.single, leader.mean, mode)
    is_beyond, lead = _lead(rows, most, mode)
    return Reranked(
        tuple(rows),
        found[rows[0].rank_before - 1],
        inflation,
        is_beyond,
        _reason(rows[0], lead, inflation),
    )


def judge_seeds(trials: Sequence[Trial], *, mode: Mode) -> SeedReport:
    """What the seed stage says. It never names a best seed: that would be picking luck."""
    scores = [trial.score or 0.0 for trial in ranked(trials, mode=mode)]
    if not scores:
        raise TuningError("no seed went through: the seed stage has no complete trial to judge")
    mean, std = statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else 0.0
    inflation = _better_by(scores[0], mean, mode)
    return SeedReport(
        len(scores),
        mean,
        std,
        min(scores),
        max(scores),
        inflation,
        _verdict(scores, std, inflation),
    )


def _row(rank: int, trial: Trial, reruns: Sequence[Trial]) -> RerankRow:
    own = _configuration(trial.params)
    mine = [rerun for rerun in reruns if _configuration(rerun.params) == own]
    scores = {
        int(rerun.params[SEED] or 0): rerun.score
        for rerun in mine
        if rerun.state == "complete" and rerun.score is not None and math.isfinite(rerun.score)
    }
    values = list(scores.values())
    bad = [rerun.reason or rerun.state for rerun in mine if rerun.state in ("failed", "infeasible")]
    return RerankRow(
        trial=trial.number,
        params=dict(trial.params),
        single=trial.score or 0.0,
        rank_before=rank,
        rank_after=None,
        mean=statistics.fmean(values) if values else None,
        std=statistics.stdev(values) if len(values) > 1 else None,
        min=min(values, default=None),
        max=max(values, default=None),
        num=len(values),
        scores=scores,
        note=f"{len(bad)} of {len(mine)} reruns did not go through: {bad[0]}" if bad else "",
    )


def _placed(rows: Sequence[RerankRow], most: int, mode: Mode) -> list[RerankRow]:
    """Best mean first; who went through fewer seeds comes after, who had none last."""
    sign = -1.0 if mode == "max" else 1.0

    def place(row: RerankRow) -> tuple[int, float, int]:
        return -row.num, sign * (row.mean or 0.0), row.rank_before

    ordered = sorted(rows, key=place)
    return [
        replace(
            row,
            rank_after=rank if row.num else None,
            note=row.note or (f"{row.num} of {most} seeds were run" if row.num < most else ""),
        )
        for rank, row in enumerate(ordered, start=1)
    ]


def _lead(rows: Sequence[RerankRow], most: int, mode: Mode) -> tuple[bool | None, str]:
    """The paired difference to the runner-up over the seeds both share."""
    rivals = [row for row in rows if row.num == most]
    if len(rivals) < 2:
        return None, "no other candidate went through as many seeds"
    first, second = rivals[:2]
    shared = sorted(first.scores.keys() & second.scores.keys())
    steps = [_better_by(first.scores[seed], second.scores[seed], mode) for seed in shared]
    if len(steps) < 2:
        return None, "one seed says nothing of the noise: give tuning.rerank.seeds at least 3"
    mean, error = statistics.fmean(steps), statistics.stdev(steps) / math.sqrt(len(steps))
    width = error * _t_95(len(steps) - 1)
    lead = f"it leads trial {second.trial} by {mean:.4f} +- {width:.4f} (95 %, paired seeds)"
    if mean > width:
        return True, f"{lead}: more than the noise"
    return False, f"{lead}: not more than the noise, so the cheaper of the two is as good a choice"


def _t_95(degrees: int) -> float:
    """Student's t for a 95 % interval, to four figures; 2.0 is near enough beyond ten degrees."""
    from scipy.stats import t

    return float(f"{t.ppf(0.975, degrees):.4g}") if degrees <= 10 else 2.0


def _reason(winner: RerankRow, lead: str, inflation: float | None) -> str:
    mean = f"{winner.mean:.4f}" if winner.mean is not None else "?"
    text = (
        f"trial {winner.trial} has the best mean over {winner.num} fresh seeds, {mean}; it was "
        f"number {winner.rank_before} with one seed; {lead}"
    )
    if inflation is None:
        return text
    kind = "too good" if inflation > 0 else "better over fresh seeds"
    return f"{text}. The best score of the search was {abs(inflation):.4f} {kind}"


def _verdict(scores: Sequence[float], std: float, inflation: float) -> str:
    if len(scores) == 1:
        return "one seed says nothing of the noise: give tuning.stages.seed.trials at least 5"
    return (
        f"over {len(scores)} seeds the score is {statistics.fmean(scores):.4f} with a standard "
        f"deviation of {std:.4f}. Picking the best of them would look {inflation:.4f} better than "
        "it is: keep the seed that is set, count differences below two standard deviations as "
        "noise, and use the other models as members of an ensemble"
    )


def _better_by(one: float, other: float, mode: Mode) -> float:
    return one - other if mode == "max" else other - one


def _without_seed(params: Params) -> Params:
    return {key: value for key, value in params.items() if key != SEED}


def _configuration(params: Params) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(_without_seed(params).items()))
