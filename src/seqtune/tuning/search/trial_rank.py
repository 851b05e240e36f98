"""The rank of a trial in its study, and whether the study fails: read from all trials."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from ..config import GuardConfig
from ..studies.records import AGAIN, ORIGIN, ROOT, AnyTrial, own_trials, root_number, state_of


def trial_rank(trial: AnyTrial, trials: Sequence[FrozenTrial]) -> tuple[int, int]:
    """Count the configurations tried before it, and those of them that the sampler drew.

    A trial that runs again keeps its first rank.
    """
    root = root_number(trial)
    earlier = [one for one in trials if one.number < root and is_first(one)]
    return len(earlier), sum(is_drawn(one) for one in earlier)


def too_many(trials: Sequence[FrozenTrial], guards: GuardConfig, *, since: float) -> bool:
    """Whether the last trials that ended, all after `since`, failed or could not be run."""
    ended = [
        (one.datetime_complete, one.number, state_of(one))
        for one in trials
        if one.datetime_complete is not None and one.datetime_complete.timestamp() >= since
    ]
    states = [state for *_, state in sorted(ended) if state != "lost"]
    trained = [state for state in states if state != "infeasible"]
    return _ends_in(trained, "failed", guards.max_failures_in_a_row) or _ends_in(
        states, "infeasible", guards.max_infeasible_in_a_row
    )


def _ends_in(states: Sequence[str], state: str, number: int) -> bool:
    return len(states) >= number and set(states[-number:]) == {state}


def position(number: int, trials: Sequence[FrozenTrial]) -> int:
    """Return its position among the trials that count or still may; no later trial moves it.

    So of workers that ask at the same time exactly the right number continue.
    """
    counting = ("complete", "pruned", "running", "waiting")
    return sum(one.number <= number and state_of(one) in counting for one in own_trials(trials))


def is_first(trial: FrozenTrial) -> bool:
    """Whether it is neither a repeated trial nor given back."""
    is_given_back = state_of(trial) == "lost" and AGAIN not in trial.user_attrs
    return ROOT not in trial.user_attrs and not is_given_back


def is_drawn(trial: FrozenTrial) -> bool:
    return is_first(trial) and ORIGIN not in trial.user_attrs
