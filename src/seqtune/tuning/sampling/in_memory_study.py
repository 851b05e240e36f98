"""Copy a study for a model: in memory, with every trial in the current space.

Optuna's models use only parameters whose distribution is the same in all trials, so a range that
has moved would silently be searched at random; and GP ignores trials that are not complete. The
copy corrects both by Optuna's public interface.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from seqtune.core.trials import Params

from ..spaces.space import Space
from ..studies.storage import quiet_optuna
from .chosen_sampler import ChosenSampler
from .entries import SamplerContext
from .samplers.sobol import next_point

MIN_LEARNED = 2
"""Finished trials that a model needs."""
SEEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
REFUSED = "refused"


def known_trials(study: Study, space: Space, *, but: int) -> list[FrozenTrial]:
    """Copy the finished, infeasible and running trials that lie in this space, by number."""
    distributions = space.distributions()
    found = []
    for frozen in study.get_trials(deepcopy=False, states=SEEN):
        if frozen.number == but or not space.contains(frozen.params):
            continue
        copy = create_trial(
            state=frozen.state,
            values=frozen.values,
            params=frozen.params,
            distributions={key: distributions[key] for key in frozen.params},
            intermediate_values=frozen.intermediate_values,
        )
        copy.number = frozen.number
        for name, violation in frozen.constraints.items():
            copy.set_constraint(name, violation)
        found.append(copy)
    return found


def with_constraint(past: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Present infeasible trials to a GP: complete, with one constraint that all trials have.

    Their value is the median of the others, which is neither good nor bad.
    """
    complete = [one for one in past if one.state is TrialState.COMPLETE]
    infeasible = [one for one in past if any(value > 0 for value in one.constraints.values())]
    if not infeasible or not complete:
        return list(past)
    columns = zip(*(one.values for one in complete), strict=True)
    middle = [statistics.median(column) for column in columns]
    changed = {one.number: _constrained(one, None, 1.0, middle) for one in infeasible}
    changed |= {one.number: _constrained(one, one.values, -1.0, middle) for one in complete}
    return [changed.get(one.number, one) for one in past]


def _constrained(
    frozen: FrozenTrial, values: Sequence[float] | None, violation: float, middle: list[float]
) -> FrozenTrial:
    copy = create_trial(
        state=TrialState.COMPLETE,
        values=list(values or middle),
        params=frozen.params,
        distributions=frozen.distributions,
    )
    copy.number = frozen.number
    copy.set_constraint(REFUSED, violation)
    return copy


def proposed(
    past: Sequence[FrozenTrial],
    space: Space,
    model: BaseSampler,
    *,
    directions: Sequence[StudyDirection],
) -> Params:
    """Ask the model for the configuration after these trials."""
    with quiet_optuna():
        study = optuna.create_study(
            directions=directions, sampler=model, pruner=optuna.pruners.NopPruner()
        )
        study.add_trials(past)
        return space.suggest(study.ask())


def by_model(
    context: SamplerContext,
    *,
    propose: Callable[[Study, list[FrozenTrial], SamplerContext], Params],
) -> ChosenSampler:
    """Propose space-filling points during start-up, then what the model proposes."""
    filling = next_point(context)

    def choose(study: Study, trial: FrozenTrial) -> Params:
        if context.rank < context.config.startup_trials:
            return context.space.from_unit(filling)
        past = known_trials(study, context.space, but=trial.number)
        if sum(one.state.is_finished() for one in past) < MIN_LEARNED:
            return context.space.from_unit(filling)
        return propose(study, past, context)

    return ChosenSampler(choose, seed=context.seed)
