"""The Gaussian process of Optuna."""

from __future__ import annotations

from functools import partial

from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from seqtune.core.trials import Params

from ..entries import Sampler, SamplerContext
from ..in_memory_study import MIN_LEARNED, by_model, proposed, with_constraint
from .tpe import propose as propose_by_tpe


def propose(study: Study, past: list[FrozenTrial], context: SamplerContext) -> Params:
    """Propose by a GP; TPE proposes conditional parameters, one by one."""
    from optuna.samplers import GPSampler

    past = with_constraint(past)
    if sum(one.state.name == "COMPLETE" for one in past) < MIN_LEARNED:
        return propose_by_tpe(study, past, context)
    model = GPSampler(
        seed=context.seed,
        n_startup_trials=MIN_LEARNED,
        independent_sampler=TPESampler(n_startup_trials=1, seed=context.seed),
        warn_independent_sampling=False,
    )
    return proposed(past, context.space, model, directions=study.directions)


ENTRY = Sampler(
    partial(by_model, propose=propose), "few, expensive trials of one goal", is_model_based=True
)
