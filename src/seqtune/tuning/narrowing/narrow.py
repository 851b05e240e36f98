"""From the quick stage to the space of the medium stage (SPEC 4.3).

Three policies. `guide` is the table of SPEC 4.3 to the letter. `safe` speaks the same language but
leaves margins, decides nothing on account of noise, opens the range again where the best lies at
an end, and refuses altogether where a short training does not rank as a long one does. `none`
takes the medium space as written.

Who wins where the quick and the medium space both speak of a parameter:

- Ranges and several choices: what the quick stage found replaces the medium one, clipped to the
  quick range and the floor. Log, step, floor, warnings, group and conditions are the medium ones.
- A single value in the medium space is an order and stays. If the top trials disagree, the
  decision says so.
- In the medium space only, or of another kind there (choices instead of a range, log): as written.
- In the quick space only: somebody took it out; it is not searched, and the decision says which
  value was best. Its value is then the configuration's own.
- Where nothing was learnt at all (refused, no finished trial): the medium space as written.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from seqtune.contracts.trials import Trial, Value, ranked

from ..config import NarrowingConfig
from ..findings.importance import Importance
from ..findings.spread import (
    Mode,
    band,
    bounds,
    counts,
    finished,
    top_trials,
)
from ..spaces.space import Parameter, Space
from .carried import carried_over
from .decisions import Decision, Narrowed, extent
from .policies import POLICIES, Evidence, Proposal


def narrow(
    trials: Sequence[Trial],
    *,
    space: Space,
    target: Space,
    config: NarrowingConfig,
    importance: Importance,
    mode: Mode,
    rank_correlation: float | None,
) -> Narrowed:
    """The medium space out of `target`, by the trials of the quick stage in `space`.

    `rank_correlation` is the one between the short and the long budget (`agreement`); None where
    it is unknown, which `safe` takes for a reason to refuse. The best configurations are queued
    under every policy.
    """
    refused = _refusal(trials, config, rank_correlation)
    proposals = {
        parameter.key: _proposal(
            parameter, trials, space, config=config, importance=importance, mode=mode, why=refused
        )
        for parameter in target.parameters
    }
    proposals = _with_live_conditions(proposals, target)
    narrowed = Space(tuple(p.parameter for p in proposals.values() if p.action != "drop"))
    gone = [_left_out(key, trials, mode) for key in space.keys if key not in target.keys]
    decisions = [
        _decision(key, proposal, trials, space, config=config, importance=importance, mode=mode)
        for key, proposal in [*proposals.items(), *gone]
    ]
    queue, moved = carried_over(trials, narrowed, num=config.queue_best, mode=mode)
    notes = [proposal.advice for proposal in proposals.values() if proposal.advice]
    return Narrowed(narrowed, tuple(decisions), refused, tuple(queue), (*notes, *moved))


def _refusal(
    trials: Sequence[Trial], config: NarrowingConfig, rank_correlation: float | None
) -> str:
    """Why nothing may be narrowed; empty where it may, or where nobody asked for it."""
    if config.policy == "none":
        return ""
    if not any(trial.state == "complete" and trial.score is not None for trial in trials):
        return "no trial of the quick stage is complete: the medium space stands as written"
    if config.policy == "guide":
        return ""
    least = config.min_rank_correlation
    if rank_correlation is None:
        return (
            "it is not known whether a short training ranks as a long one does (too few curves to "
            "compare): the medium space stands as written. Run more quick trials, or set "
            "tuning.narrowing.policy=guide to narrow all the same"
        )
    if rank_correlation < least:
        return (
            f"the rank correlation between the short and the long training is "
            f"{rank_correlation:.2f}, below min_rank_correlation={least:g}: the medium space "
            "stands as written. Give the quick stage more epochs (tuning.stages.quick.epochs)"
        )
    return ""


def _proposal(
    target: Parameter,
    trials: Sequence[Trial],
    space: Space,
    *,
    config: NarrowingConfig,
    importance: Importance,
    mode: Mode,
    why: str,
) -> Proposal:
    """What becomes of one parameter of the medium space."""
    if why or config.policy == "none":
        reason = "refused" if why else "policy none"
        return Proposal("untouched", target, f"{reason}: the medium space as written")
    quick = space[target.key] if target.key in space.keys else None
    top = top_trials(trials, share=config.top_share, mode=mode, key=target.key)
    if quick is None or quick.is_single:
        text = "the quick stage did not search it: the medium space as written"
        return Proposal("untouched", target, text)
    if not top:
        text = "no finished trial had it: the medium space as written"
        return Proposal("untouched", target, text)
    if target.is_single:
        return Proposal("untouched", target, _single_text(target, top))
    if (quick.kind, quick.log) != (target.kind, target.log):
        reason = (
            f"the quick stage searched it as {_kind(quick)}, the medium space has {_kind(target)}"
        )
        return Proposal("untouched", target, f"{reason}: as written")
    frame = _frame(quick, target)
    if frame.kind != "categorical" and operator.ge(*bounds(frame)):
        reason = (
            f"the quick range [{quick.low:g}, {quick.high:g}] lies under the floor {frame.floor}"
        )
        return Proposal("untouched", target, f"{reason}: the medium space as written")
    evidence = Evidence(
        frame,
        importance.values.get(target.key, 0.0),
        importance.is_noise,
        finished(trials, target.key),
        top,
    )
    return POLICIES[config.policy](evidence, config)


def _frame(quick: Parameter, target: Parameter) -> Parameter:
    """The medium parameter over the range or choices of the quick one."""
    return replace(
        target,
        low=quick.low,
        high=quick.high,
        choices=quick.choices,
        floor=quick.floor if target.floor is None else target.floor,
    )


def _single_text(target: Parameter, top: Sequence[Trial]) -> str:
    value = target.only_value
    num = sum(trial.params[target.key] == value for trial in top)
    text = (
        f"the medium space gives one value, {value}, and {num} of the top {len(top)} trials have it"
    )
    if 2 * num >= len(top):
        return text
    return f"{text}: consider giving it choices there (best trial: {top[0].params[target.key]})"


def _kind(parameter: Parameter) -> str:
    return f"a logarithmic {parameter.kind}" if parameter.log else f"a {parameter.kind}"


# ---- conditions ------------------------------------------------------------------------------


def _with_live_conditions(proposals: dict[str, Proposal], target: Space) -> dict[str, Proposal]:
    """A child whose condition cannot hold any more drops out; values that are gone do too."""
    settled: dict[str, Proposal] = {}
    for parameter in target.parameters:  # parents come before their children
        proposal = proposals[parameter.key]
        live = {
            key: _still_possible(settled.get(key), wanted) for key, wanted in parameter.when.items()
        }
        dead = [key for key, wanted in live.items() if not wanted]
        if dead:
            reason = f"{dead[0]} has no value left beside which it exists"
            proposal = Proposal("drop", proposal.parameter, reason)
        elif live != dict(parameter.when):
            proposal = proposal._replace(parameter=replace(proposal.parameter, when=live))
        settled[parameter.key] = proposal
    return settled


def _still_possible(parent: Proposal | None, wanted: Sequence[Value]) -> tuple[Value, ...]:
    if parent is None or parent.action == "drop":
        return ()
    return tuple(value for value in wanted if parent.parameter.contains(value))


# ---- the table -------------------------------------------------------------------------------


def _left_out(key: str, trials: Sequence[Trial], mode: Mode) -> tuple[str, Proposal]:
    """A parameter that only the quick space has."""
    best = next((t.params[key] for t in ranked(trials, mode=mode) if key in t.params), None)
    reason = "not in the medium space: the value of the configuration holds"
    if best is not None:
        reason += f" (the best quick trial had {best})"
    return key, Proposal("drop", Parameter(key, "categorical"), reason)


def _decision(
    key: str,
    proposal: Proposal,
    trials: Sequence[Trial],
    space: Space,
    *,
    config: NarrowingConfig,
    importance: Importance,
    mode: Mode,
) -> Decision:
    quick = space[key] if key in space.keys else None
    return Decision(
        key=key,
        importance=importance.values.get(key),
        action=proposal.action,
        before=extent(quick),
        after={} if proposal.action == "drop" else extent(proposal.parameter),
        top=_summary(top_trials(trials, share=config.top_share, mode=mode, key=key), quick),
        reason=proposal.reason,
    )


def _summary(top: Sequence[Trial], quick: Parameter | None) -> dict[str, Any]:
    if quick is None or not top:
        return {}
    if quick.kind == "categorical":
        found = counts(top, quick)
        return {"choices": list(found), "counts": list(found.values())}
    seen = band(top, quick)
    return seen.as_dict() if seen else {}
