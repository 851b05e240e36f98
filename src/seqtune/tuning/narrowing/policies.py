"""The rules of narrowing for one parameter: `guide` and `safe`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from seqtune.core.trials import Trial, Value

from ..analysis.importance import MIN_TRIALS
from ..analysis.param_stats import (
    Interval,
    band,
    bounds,
    counts,
    from_scale,
    nearest,
    round_out,
    to_scale,
)
from ..config import NarrowingConfig
from ..spaces.space import Parameter
from .decisions import Action

HIGH_IMPORTANCE = 0.1
LOW_IMPORTANCE = 0.05
MIN_TRIES = 5
"""safe: a choice tried less often is never dropped."""
MIN_TOP_TRIALS = 3
"""safe: fewer top trials do not make a band."""
MIN_BAND = 0.1
"""safe: a narrower band counts as this share of the quick range when its margin is taken."""
AT_END = 0.05
"""safe: the best is at an end of the band if it is nearer than this share of the band."""
AT_BOUND = 0.01
"""The best is at a bound of the quick range if it is nearer than this share of the range."""


@dataclass(frozen=True)
class Evidence:
    """The results of the quick stage for one parameter that the medium stage searches too."""

    frame: Parameter
    """The medium parameter with the range or choices of the quick stage."""
    importance: float
    is_noise: bool
    tried: Sequence[Trial]
    """Finished trials with this parameter."""
    top: Sequence[Trial]
    """The best of them, best first; never empty."""

    @property
    def best(self) -> Trial:
        return self.top[0]

    @property
    def best_value(self) -> Value:
        return self.best.params[self.frame.key]


class Proposal(NamedTuple):
    """The proposal of a policy for one parameter."""

    action: Action
    parameter: Parameter
    reason: str
    advice: str = ""
    """What only a person can decide."""


Policy = Callable[[Evidence, NarrowingConfig], Proposal]


def guide(evidence: Evidence, config: NarrowingConfig) -> Proposal:  # noqa: ARG001
    """Apply the table of the guide exactly."""
    if evidence.importance < LOW_IMPORTANCE:
        return _fixed(evidence)
    if evidence.frame.kind == "categorical":
        seen = [choice for choice, n in counts(evidence.top, evidence.frame).items() if n]
        return _with_choices(evidence, seen, f"seen in the top {len(evidence.top)} trials")
    return _guide_range(evidence)


def safe(evidence: Evidence, config: NarrowingConfig) -> Proposal:
    """Apply the same table with margins, and decide nothing from noise."""
    if doubt := _doubt(evidence):
        return _whole(evidence, f"{doubt}: the quick range is kept")
    if evidence.frame.kind == "categorical":
        return _safe_choices(evidence)
    if _may_fix(evidence):
        return _fixed(evidence)
    return _safe_range(evidence, margin=config.margin)


POLICIES: dict[str, Policy] = {"guide": guide, "safe": safe}


def _guide_range(evidence: Evidence) -> Proposal:
    frame, seen = evidence.frame, _band(evidence)
    below, above = _guide_factors(evidence)
    wanted = _times(seen.low, below), _times(seen.high, above)
    low, high = round_out(*wanted, frame)
    if low >= high:
        low, high = round_out(seen.low, seen.high, frame)
    rule = (
        f"{_importance_text(evidence)}: [{below:g} x the top trials' minimum {seen.low:.4g}, "
        f"{above:g} x their maximum {seen.high:.4g}]"
    )
    if low >= high:
        return _single(evidence, nearest(seen.high, frame), f"{rule} leaves one value, {{value}}")
    action: Action = "keep" if evidence.importance > HIGH_IMPORTANCE else "narrow"
    clipped = "" if low <= wanted[0] and high >= wanted[1] else ", clipped to quick range and floor"
    return Proposal(action, _ranged(frame, low, high), rule + clipped)


def _guide_factors(evidence: Evidence) -> tuple[float, float]:
    """Return the factors for the minimum and the maximum of the top trials."""
    if evidence.importance <= HIGH_IMPORTANCE:
        return 0.95, 1.05
    if evidence.frame.floor is not None:
        return 1.1, 1.0
    return (0.5, 1.5) if evidence.frame.log else (0.9, 1.1)


def _times(value: float, factor: float) -> float:
    """Multiply, moving negative values in the same direction as positive ones."""
    return value + abs(value) * (factor - 1.0)


def _doubt(evidence: Evidence) -> str:
    if len(evidence.tried) < MIN_TRIALS:
        return (
            f"{len(evidence.tried)} finished trials had this parameter, {MIN_TRIALS} are needed "
            "for an importance that is not noise"
        )
    if evidence.is_noise:
        return f"the importance {evidence.importance:.3f} is noise (see its note)"
    if len(evidence.top) < MIN_TOP_TRIALS:
        return f"only {len(evidence.top)} trials are among the best, {MIN_TOP_TRIALS} make a band"
    return ""


def _may_fix(evidence: Evidence) -> bool:
    """Whether to fix it: conditional parameters are unimportant only because they are rare."""
    return evidence.importance < LOW_IMPORTANCE and not evidence.frame.when


def _safe_choices(evidence: Evidence) -> Proposal:
    tries = counts(evidence.tried, evidence.frame)
    seen = counts(evidence.top, evidence.frame)
    rare = [choice for choice, n in tries.items() if n < MIN_TRIES]
    if _may_fix(evidence) and not rare:
        return _fixed(evidence)
    left = [choice for choice in tries if seen[choice] or choice in rare]
    why = f"seen in the top {len(evidence.top)} trials"
    if rare:
        why += f" or tried fewer than {MIN_TRIES} times ({_listed(rare)})"
    return _with_choices(evidence, left, why)


def _safe_range(evidence: Evidence, *, margin: float) -> Proposal:
    frame, seen = evidence.frame, _band(evidence)
    ends = to_scale(seen.low, frame), to_scale(seen.high, frame)
    whole = [to_scale(end, frame) for end in bounds(frame)]
    width = max(ends[1] - ends[0], MIN_BAND * (whole[1] - whole[0]))
    best = to_scale(float(evidence.best_value or 0.0), frame)
    is_low = best - ends[0] <= AT_END * width
    is_high = ends[1] - best <= AT_END * width
    low, high = round_out(
        bounds(frame)[0] if is_low else from_scale(ends[0] - margin * width, frame),
        bounds(frame)[1] if is_high else from_scale(ends[1] + margin * width, frame),
        frame,
    )
    if low >= high:
        return _whole(evidence, f"{_band_text(seen)}, under the floor: the range above it is kept")
    reason = f"{_importance_text(evidence)}: {_band_text(seen)}, with a margin of {margin:.0%}"
    if not is_low and not is_high:
        action: Action = "keep" if evidence.importance > HIGH_IMPORTANCE else "narrow"
        return Proposal(action, _ranged(frame, low, high), f"{reason} of that band")
    side = "both ends" if is_low and is_high else "the lower end" if is_low else "the upper end"
    reason += f" of that band; the best value {evidence.best_value:.4g} lies at {side}, widened"
    return Proposal("widen", _ranged(frame, low, high), reason, _advice(evidence))


def _advice(evidence: Evidence) -> str:
    """Advise on a bound of the quick range that the best value reaches, unless it is a floor."""
    frame = evidence.frame
    best = to_scale(float(evidence.best_value or 0.0), frame)
    low, high = to_scale(frame.low, frame), to_scale(frame.high, frame)
    near = AT_BOUND * (high - low)
    for end, name, distance in ((frame.low, "low", best - low), (frame.high, "high", high - best)):
        is_floor = name == "low" and frame.floor is not None and frame.floor >= frame.low
        if distance <= near and not is_floor:
            return (
                f"{frame.key}: the best value {evidence.best_value:.4g} lies at {name}={end:g} of "
                f"the quick range; consider a {'lower' if name == 'low' else 'higher'} bound there"
            )
    return ""


def _fixed(evidence: Evidence) -> Proposal:
    value = evidence.best_value
    where = f"the value of the best trial ({evidence.best.number})"
    reason = f"{_importance_text(evidence)}: fixed at {{value}}, {where}"
    if evidence.frame.kind == "categorical":
        return _single(evidence, value, reason)
    legal = nearest(float(value or 0.0), evidence.frame)
    if legal != value:
        reason += f", which was {value:.4g}, moved into range and floor"
    return _single(evidence, legal, reason)


def _single(evidence: Evidence, value: Value, reason: str) -> Proposal:
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return Proposal("fix", only(evidence.frame, value), reason.replace("{value}", shown))


def only(parameter: Parameter, value: Value) -> Parameter:
    """Leave one value of the parameter, which stays in the space for conditions on it."""
    left = replace(parameter, kind="categorical", choices=(value,), low=0.0, high=0.0, step=None)
    return replace(left, log=False, floor=None)


def _with_choices(evidence: Evidence, left: Sequence[Value], why: str) -> Proposal:
    frame = evidence.frame
    gone = [choice for choice in frame.choices if choice not in left]
    outcome = f"without {_listed(gone)}" if gone else "all choices stay"
    reason = f"{_importance_text(evidence)}: choices {why}; {outcome}"
    return Proposal("choices", replace(frame, choices=tuple(left)), reason)


def _whole(evidence: Evidence, reason: str) -> Proposal:
    frame = evidence.frame
    if frame.kind == "categorical":
        return Proposal("keep", frame, reason)
    low, high = round_out(-math.inf, math.inf, frame)
    if low >= high:
        return _single(evidence, nearest(low, frame), f"{reason}; the floor leaves {{value}}")
    return Proposal("keep", _ranged(frame, low, high), reason)


def _ranged(frame: Parameter, low: float, high: float) -> Parameter:
    number = int if frame.kind == "int" else float
    return replace(frame, low=number(low), high=number(high))


def _band(evidence: Evidence) -> Interval:
    found = band(evidence.top, evidence.frame)
    if found is None:
        raise ValueError(f"no top trial has {evidence.frame.key}")
    return found


def _band_text(seen: Interval) -> str:
    return f"the top {len(seen.values)} trials lie in [{seen.low:.4g}, {seen.high:.4g}]"


def _importance_text(evidence: Evidence) -> str:
    share = evidence.importance
    if share > HIGH_IMPORTANCE:
        return f"importance {share:.3f} is above {HIGH_IMPORTANCE}"
    if share < LOW_IMPORTANCE:
        return f"importance {share:.3f} is below {LOW_IMPORTANCE}"
    return f"importance {share:.3f} lies in {LOW_IMPORTANCE} .. {HIGH_IMPORTANCE}"


def _listed(values: Sequence[Value]) -> str:
    return ", ".join(map(str, values))
