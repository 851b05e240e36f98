"""Where a study stands, and where in it a trial: read from all trials at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..config import GuardConfig
from ..studies.records import AGAIN, ORIGIN, ROOT, is_imported, root_number, state_of

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


class TrialRank(NamedTuple):
    """Which configuration of the study a trial tries."""

    rank: int
    """How many came before it; those that were given back were never tried."""
    num_drawn: int
    """Of those, how many came from the sampler."""


def trial_rank(trial: optuna.Trial | FrozenTrial, trials: Sequence[FrozenTrial]) -> TrialRank:
    """A trial that is run again has the turn that it had at first."""
    root = root_number(trial)
    earlier = [one for one in trials if one.number < root and is_first(one)]
    return TrialRank(len(earlier), sum(is_drawn(one) for one in earlier))


def too_many(trials: Sequence[FrozenTrial], guards: GuardConfig, *, since: float) -> bool:
    """Whether the last trials that ended, all after `since`, failed or could not be run."""
    ended = [
        (one.datetime_complete, one.number, state_of(one))
        for one in trials
        if one.datetime_complete is not None and one.datetime_complete.timestamp() >= since
    ]
    told = [state for *_, state in sorted(ended) if state != "lost"]
    tried = [state for state in told if state != "infeasible"]
    return _ends_in(tried, "failed", guards.max_failures_in_a_row) or _ends_in(
        told, "infeasible", guards.max_infeasible_in_a_row
    )


def _ends_in(states: Sequence[str], state: str, number: int) -> bool:
    return len(states) >= number and set(states[-number:]) == {state}


def position(number: int, trials: Sequence[FrozenTrial]) -> int:
    """Which one it is of those that count, or still may; no later trial moves it.

    So of workers that ask at the same time exactly the right number go on.
    """
    counting = ("complete", "pruned", "running", "waiting")
    return sum(one.number <= number and state_of(one) in counting for one in own_trials(trials))


def own_trials(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [one for one in trials if not is_imported(one)]


def is_first(trial: FrozenTrial) -> bool:
    """Neither another's second run nor given back."""
    is_given_back = state_of(trial) == "lost" and AGAIN not in trial.user_attrs
    return ROOT not in trial.user_attrs and not is_given_back


def is_drawn(trial: FrozenTrial) -> bool:
    return is_first(trial) and ORIGIN not in trial.user_attrs
