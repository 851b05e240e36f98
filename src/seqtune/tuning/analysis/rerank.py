"""Re-rank the best trials over fresh seeds, because a single seed flatters the first.

The best of 50 single-seed trials is 1.6 standard deviations of the noise too good. So the best few
are trained again over shared seeds that the search never used, and the best mean wins. The default
configuration is trained beside them, and stays unless the winner beats it by more than the noise.
The seed stage measures by the same statistics how much of a score is luck.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

from seqtune.core.errors import TuningError
from seqtune.core.seeds import derive_seed
from seqtune.core.trials import Params, Trial, ranked

from .param_stats import Mode

SEED = "seed"
"""Key of the seed in the parameters of a rerun."""
DEFAULT = -1
"""Number of the default configuration, which is no trial of the search."""


@dataclass(frozen=True)
class RerankRow:
    """One candidate before and after."""

    trial: int
    """Number in the search, or DEFAULT."""
    params: Params
    single: float | None
    """Score with the seed of the search; None if that run of the default failed."""
    rank_before: int
    """In the search; 0 for the default."""
    rank_after: int | None
    """None without a rerun."""
    mean: float | None
    std: float | None
    """Over the seeds; None for fewer than two."""
    min: float | None
    max: float | None
    num: int
    """Number of completed seeds."""
    scores: Mapping[int, float]
    """By seed."""
    note: str = ""


@dataclass(frozen=True)
class Gain:
    """How much better the best of the search is than the default, over shared seeds."""

    mean: float
    error: float
    """Standard error of the mean."""
    share: float
    """Of the score of the default."""

    @property
    def is_beyond_noise(self) -> bool:
        return self.mean > self.error


@dataclass(frozen=True)
class Reranked:
    """The result over fresh seeds."""

    rows: tuple[RerankRow, ...]
    """Best first."""
    chosen: Trial
    """The winner's trial in the search."""
    inflation: float | None
    """The search's best score minus its mean over fresh seeds, so that above 0 is too good."""
    is_beyond_noise: bool | None
    """Whether the lead over the second exceeds the noise; None if unknown."""
    reason: str
    gain: Gain | None = None
    """What the best of the search brings over the default; None without the default."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "chosen": self.chosen.number,
            "params": dict(self.chosen.params),
            "inflation": self.inflation,
            "is_beyond_noise": self.is_beyond_noise,
            "reason": self.reason,
            "gain": self.gain and asdict(self.gain),
        }


@dataclass(frozen=True)
class SeedReport:
    """The scores of one configuration over many seeds."""

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
    """Return the best complete trials, each configuration once."""
    found: dict[tuple[tuple[str, Any], ...], Trial] = {}
    for trial in ranked(trials, mode=mode):
        found.setdefault(_configuration(trial.params), trial)
    return list(found.values())[:top]


def fresh_seeds(seed: int, *, num: int, below: int = 2**32) -> tuple[int, ...]:
    """Derive different seeds from the study's seed, none equal to it."""
    if num >= below:
        raise TuningError(f"there are not {num} seeds below {below}; ask for fewer")
    drawn = (derive_seed(seed, "rerank", index) % below for index in count())
    found: dict[int, None] = {}
    while len(found) < num:
        if (fresh := next(drawn)) != seed:
            found[fresh] = None
    return tuple(found)


def rerank_queue(found: Sequence[Trial], seeds: Sequence[int]) -> list[Params]:
    """List the reruns seed by seed, so that an interrupted run has compared equal seeds."""
    return [{**_without_seed(trial.params), SEED: seed} for seed in seeds for trial in found]


def judge(
    found: Sequence[Trial],
    reruns: Sequence[Trial],
    *,
    mode: Mode,
    default: Trial | None = None,
) -> Reranked:
    """Choose the candidate with the best mean score over fresh seeds, or keep the default.

    Only candidates that completed the most seeds compete: one that failed on a seed is less stable,
    and means over different seeds are not comparable.
    """
    if not found:
        raise TuningError(
            "no candidate to judge: the search has no complete trial; run more trials, or see why "
            "they failed in the report of its stage"
        )
    scored = [_row(rank, trial, reruns) for rank, trial in enumerate(found, start=1)]
    most = max(row.num for row in scored)
    if not most:
        reason = f"no rerun completed: trial {found[0].number} leads by its single seed alone"
        return Reranked(tuple(scored), found[0], None, None, reason)
    rows = _placed(scored, most, mode)
    leader = next(row for row in rows if row.rank_before == 1)
    inflation = None
    if leader.mean is not None:
        inflation = _better_by(leader.single or 0.0, leader.mean, mode)
    is_beyond, lead = _lead(rows, most, mode)
    winner = found[rows[0].rank_before - 1]
    reason = _reason(rows[0], lead, inflation)
    judged = Reranked(tuple(rows), winner, inflation, is_beyond, reason)
    return judged if default is None else _beside_default(judged, default, reruns, mode)


def _beside_default(
    judged: Reranked, default: Trial, reruns: Sequence[Trial], mode: Mode
) -> Reranked:
    """Keep the default unless the winner beats it by more than a standard error."""
    row = replace(_row(0, default, reruns), trial=DEFAULT)
    rows, best = (*judged.rows, row), judged.rows[0]
    steps = _paired(best, row, mode)
    if default.state != "complete" or row.mean is None or len(steps) < 2:
        return replace(judged, rows=rows)
    error = statistics.stdev(steps) / math.sqrt(len(steps))
    mean = statistics.fmean(steps)
    gain = Gain(mean, error, mean / abs(row.mean) if row.mean else math.inf)
    brought = f"{gain.mean:+.4f} ± {gain.error:.4f} ({gain.share:+.1%}) over {len(steps)} seeds"
    if gain.is_beyond_noise:
        reason = f"{judged.reason}. Over the default it brings {brought}"
        return replace(judged, rows=rows, reason=reason, gain=gain)
    reason = (
        f"the default configuration stays: trial {best.trial}, the best of the search, brings "
        f"{brought}, which is not more than the noise"
    )
    return replace(judged, rows=rows, chosen=default, reason=reason, gain=gain)


def judge_seeds(trials: Sequence[Trial], *, mode: Mode) -> SeedReport:
    """Summarize the seed stage. It never names a best seed: that would be picking luck."""
    scores = [trial.score or 0.0 for trial in ranked(trials, mode=mode)]
    if not scores:
        raise TuningError("no seed completed: the seed stage has no complete trial to judge")
    mean, std = statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else 0.0
    inflation = _better_by(scores[0], mean, mode)
    verdict = _verdict(scores, std, inflation)
    return SeedReport(len(scores), mean, std, min(scores), max(scores), inflation, verdict)


def _row(rank: int, trial: Trial, reruns: Sequence[Trial]) -> RerankRow:
    own = _configuration(trial.params)
    mine = [
        rerun for rerun in reruns if SEED in rerun.params and _configuration(rerun.params) == own
    ]
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
        single=trial.score,
        rank_before=rank,
        rank_after=None,
        mean=statistics.fmean(values) if values else None,
        std=statistics.stdev(values) if len(values) > 1 else None,
        min=min(values, default=None),
        max=max(values, default=None),
        num=len(values),
        scores=scores,
        note=f"{len(bad)} of {len(mine)} reruns did not complete: {bad[0]}" if bad else "",
    )


def _placed(rows: Sequence[RerankRow], most: int, mode: Mode) -> list[RerankRow]:
    """Sort by the number of seeds, then by the mean, and set the ranks."""
    sign = -1.0 if mode == "max" else 1.0
    ordered = sorted(rows, key=lambda row: (-row.num, sign * (row.mean or 0.0), row.rank_before))
    return [
        replace(
            row,
            rank_after=rank if row.num else None,
            note=row.note or (f"{row.num} of {most} seeds were run" if row.num < most else ""),
        )
        for rank, row in enumerate(ordered, start=1)
    ]


def _lead(rows: Sequence[RerankRow], most: int, mode: Mode) -> tuple[bool | None, str]:
    """Compare with the second by paired differences over the shared seeds."""
    rivals = [row for row in rows if row.num == most]
    if len(rivals) < 2:
        return None, "no other candidate completed as many seeds"
    first, second = rivals[:2]
    steps = _paired(first, second, mode)
    if len(steps) < 2:
        return None, "one seed does not show the noise: set tuning.rerank.seeds to at least 3"
    mean, error = statistics.fmean(steps), statistics.stdev(steps) / math.sqrt(len(steps))
    width = error * _t_95(len(steps) - 1)
    lead = f"it leads trial {second.trial} by {mean:.4f} ± {width:.4f} (95%, paired seeds)"
    if mean > width:
        return True, f"{lead}: more than the noise"
    return False, f"{lead}: not more than the noise, so the cheaper of the two is as good a choice"


def _paired(one: RerankRow, other: RerankRow, mode: Mode) -> list[float]:
    """Return by how much one is better, for each seed that both have completed."""
    shared = sorted(one.scores.keys() & other.scores.keys())
    return [_better_by(one.scores[seed], other.scores[seed], mode) for seed in shared]


def _t_95(degrees: int) -> float:
    """Return Student's t for a 95 % interval to four figures; 2.0 beyond ten degrees."""
    from scipy.stats import t

    return float(f"{t.ppf(0.975, degrees):.4g}") if degrees <= 10 else 2.0


def _reason(winner: RerankRow, lead: str, inflation: float | None) -> str:
    mean = f"{winner.mean:.4f}" if winner.mean is not None else "?"
    seeds = "one fresh seed" if winner.num == 1 else f"{winner.num} fresh seeds"
    text = (
        f"trial {winner.trial} has the best mean over {seeds}, {mean}; it was "
        f"number {winner.rank_before} with one seed; {lead}"
    )
    if inflation is None:
        return text
    kind = "too good" if inflation > 0 else "better over fresh seeds"
    return f"{text}. The best score of the search was {abs(inflation):.4f} {kind}"


def _verdict(scores: Sequence[float], std: float, inflation: float) -> str:
    if len(scores) == 1:
        return "one seed does not show the noise: set tuning.stages.seed.trials to at least 5"
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
