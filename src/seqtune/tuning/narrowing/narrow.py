"""Narrow the space of the medium stage by the results of the quick stage.

Three policies: `guide` is exactly the table of docs/guide/tuning.md; `safe` adds margins, decides
nothing from noise, widens a range if the best lies at its end, and refuses if short and long
training rank differently; `none` uses the medium space as written. For each parameter:

- Ranges and several choices: the result of the quick stage replaces the medium range, clipped to
  the quick range and the floor. All other fields are the medium ones.
- A single value in the medium space stays; the decision notes if the top trials disagree.
- Only in the medium space, or of another kind there (choices instead of a range, log): as written.
- Only in the quick space: not searched; the configuration's value holds, and the decision names
  the best one.
- Nothing learned (refused, no finished trial): the medium space as written.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqtune.core.trials import Trial, Value, ranked

from ..analysis.importance import Importance
from ..analysis.param_stats import Mode, band, bounds, counts, finished, top_trials
from ..config import NarrowingConfig
from ..spaces.space import Parameter, Space
from .decisions import Decision, Narrowed, extent
from .policies import POLICIES, Evidence, Proposal
from .warm_start_queue import carried_over


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
    """Narrow `target` by the trials of the quick stage in `space`.

    `rank_correlation` is between the short and the long budget; if it is None, unknown, `safe`
    refuses. The best configurations are queued under every policy.
    """
    refused = _refusal(trials, config, rank_correlation)
    quick = _QuickStage(trials, space, config, importance, mode)
    proposals = {one.key: quick.proposal(one, refused=refused) for one in target.parameters}
    proposals = _with_live_conditions(proposals, target)
    narrowed = Space(tuple(p.parameter for p in proposals.values() if p.action != "drop"))
    gone = {key: quick.left_out(key) for key in space.keys if key not in target.keys}
    decisions = [quick.decision(key, one) for key, one in [*proposals.items(), *gone.items()]]
    queue, moved = carried_over(trials, narrowed, num=config.queue_best, mode=mode)
    notes = [proposal.advice for proposal in proposals.values() if proposal.advice]
    return Narrowed(narrowed, tuple(decisions), refused, tuple(queue), (*notes, *moved))


def _refusal(
    trials: Sequence[Trial], config: NarrowingConfig, rank_correlation: float | None
) -> str:
    """Explain why nothing may be narrowed; empty if it may, or under the policy none."""
    if config.policy == "none":
        return ""
    if not any(trial.state == "complete" and trial.score is not None for trial in trials):
        return "no trial of the quick stage is complete: the medium space stays as written"
    if config.policy == "guide":
        return ""
    least = config.min_rank_correlation
    if rank_correlation is None:
        return (
            "it is unknown whether a short training ranks like a long one (too few curves to "
            "compare): the medium space stays as written. Run more quick trials, or set "
            "tuning.narrowing.policy=guide to narrow anyway"
        )
    if rank_correlation < least:
        return (
            f"the rank correlation between the short and the long training is "
            f"{rank_correlation:.4g}, below min_rank_correlation={least:g}: the medium space "
            "stays as written. Give the quick stage more epochs (tuning.stages.quick.epochs)"
        )
    return ""


@dataclass(frozen=True)
class _QuickStage:
    """The results of the quick stage, and the rules to judge them."""

    trials: Sequence[Trial]
    space: Space
    config: NarrowingConfig
    importance: Importance
    mode: Mode

    def searched(self, key: str) -> Parameter | None:
        return self.space[key] if key in self.space.keys else None

    def top(self, key: str) -> list[Trial]:
        return top_trials(self.trials, share=self.config.top_share, mode=self.mode, key=key)

    def proposal(self, target: Parameter, *, refused: str) -> Proposal:
        """Propose what becomes of one parameter of the medium space."""
        quick, top = self.searched(target.key), self.top(target.key)
        why = "refused" if refused else self._why_untouched(target, quick, top)
        if why or quick is None:
            return Proposal("untouched", target, f"{why}: the medium space as written")
        if target.is_single:
            return Proposal("untouched", target, _single_text(target, top))
        evidence = Evidence(
            _frame(quick, target),
            self.importance.values.get(target.key, 0.0),
            self.importance.is_noise,
            finished(self.trials, target.key),
            top,
        )
        return POLICIES[self.config.policy](evidence, self.config)

    def _why_untouched(
        self, target: Parameter, quick: Parameter | None, top: Sequence[Trial]
    ) -> str:
        """Explain why nothing was learned of it; empty if something was."""
        if self.config.policy == "none":
            return "policy none"
        if quick is None or quick.is_single:
            return "the quick stage did not search it"
        if not top:
            return "no finished trial had it"
        if target.is_single:
            return ""
        if (quick.kind, quick.log) != (target.kind, target.log):
            now = _kind(target)
            return f"the quick stage searched it as {_kind(quick)}, the medium space has {now}"
        frame = _frame(quick, target)
        if frame.kind != "categorical" and operator.ge(*bounds(frame)):
            searched = f"[{quick.low:g}, {quick.high:g}]"
            return f"the quick range {searched} lies under the floor {frame.floor}"
        return ""

    def left_out(self, key: str) -> Proposal:
        """Drop a parameter that only the quick space has."""
        done = ranked(self.trials, mode=self.mode)
        best = next((trial.params[key] for trial in done if key in trial.params), None)
        reason = "not in the medium space: the value of the configuration holds"
        if best is not None:
            reason += f" (the best quick trial had {best})"
        return Proposal("drop", Parameter(key, "categorical"), reason)

    def decision(self, key: str, proposal: Proposal) -> Decision:
        quick = self.searched(key)
        return Decision(
            key=key,
            importance=self.importance.values.get(key),
            action=proposal.action,
            before=extent(quick),
            after={} if proposal.action == "drop" else extent(proposal.parameter),
            top=_summary(self.top(key), quick),
            reason=proposal.reason,
        )


def _frame(quick: Parameter, target: Parameter) -> Parameter:
    """Give the medium parameter the range or choices of the quick one."""
    floor = quick.floor if target.floor is None else target.floor
    return replace(target, low=quick.low, high=quick.high, choices=quick.choices, floor=floor)


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


def _with_live_conditions(proposals: dict[str, Proposal], target: Space) -> dict[str, Proposal]:
    """Drop children whose condition can no longer hold, and condition values that are gone."""
    settled: dict[str, Proposal] = {}
    for parameter in target.parameters:  # parents come before their children
        proposal = proposals[parameter.key]
        live = {key: _possible(settled.get(key), one) for key, one in parameter.when.items()}
        dead = [key for key, wanted in live.items() if not wanted]
        if dead:
            reason = f"{dead[0]} has no value left under which it exists"
            proposal = Proposal("drop", proposal.parameter, reason)
        elif live != dict(parameter.when):
            proposal = proposal._replace(parameter=replace(proposal.parameter, when=live))
        settled[parameter.key] = proposal
    return settled


def _possible(parent: Proposal | None, wanted: Sequence[Value]) -> tuple[Value, ...]:
    if parent is None or parent.action == "drop":
        return ()
    return tuple(value for value in wanted if parent.parameter.contains(value))


def _summary(top: Sequence[Trial], quick: Parameter | None) -> dict[str, Any]:
    if quick is None or not top:
        return {}
    if quick.kind == "categorical":
        found = counts(top, quick)
        return {"choices": list(found), "counts": list(found.values())}
    seen = band(top, quick)
    return seen.as_dict() if seen else {}
