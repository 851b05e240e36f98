"""The tree-structured Parzen estimator of Optuna."""

from __future__ import annotations

from functools import partial

from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from seqtune.core.trials import Params

from ..entries import Sampler, SamplerContext
from ..in_memory_study import by_model, proposed


def propose(study: Study, past: list[FrozenTrial], context: SamplerContext) -> Params:
    """Propose by TPE, in Optuna 5 multivariate for one objective, with running trials as bad."""
    candidates = context.config.candidates
    model = TPESampler(n_startup_trials=1, n_ei_candidates=candidates, seed=context.seed)
    return proposed(past, context.space, model, directions=study.directions)


ENTRY = Sampler(
    partial(by_model, propose=propose),
    "many trials, conditions, several goals",
    is_model_based=True,
)
