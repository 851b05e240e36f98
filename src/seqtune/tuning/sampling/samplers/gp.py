"""The Gaussian process of Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from optuna.samplers import TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from seqtune.core.trials import Params

from ..entries import Sampler, SamplerContext
from ..in_memory_study import MIN_LEARNED, by_model, proposed, with_constraint
from .tpe import propose as propose_by_tpe

MAX_LEARNED = 200
"""Trials that the process is fitted to: the time of a proposal grows with their third power."""


def propose(study: Study, past: list[FrozenTrial], context: SamplerContext) -> Params:
    """Propose by a GP; TPE proposes conditional parameters, one by one."""
    from optuna.samplers import GPSampler

    past = sampled(with_constraint(past), study.directions, seed=context.seed)
    if sum(one.state is TrialState.COMPLETE for one in past) < MIN_LEARNED:
        return propose_by_tpe(study, past, context)
    model = GPSampler(
        seed=context.seed,
        n_startup_trials=MIN_LEARNED,
        independent_sampler=TPESampler(n_startup_trials=1, seed=context.seed),
        warn_independent_sampling=False,
    )
    return proposed(past, context.space, model, directions=study.directions)


def sampled(
    past: Sequence[FrozenTrial], directions: Sequence[StudyDirection], *, seed: int
) -> list[FrozenTrial]:
    """Return at most MAX_LEARNED complete trials: the best, the newest, and others at random."""
    complete = [one for one in past if one.state is TrialState.COMPLETE]
    if len(complete) <= MAX_LEARNED:
        return list(past)
    third = MAX_LEARNED // 3
    chosen = {one.number for one in complete[-third:]}
    for goal, direction in enumerate(directions):
        values = {one.number: one.values[goal] for one in complete}
        is_max = direction is StudyDirection.MAXIMIZE
        best_first = sorted(values, key=values.__getitem__, reverse=is_max)
        chosen |= set(best_first[: third // len(directions)])
    others = [one.number for one in complete if one.number not in chosen]
    drawn = np.random.default_rng(seed).permutation(others)[: MAX_LEARNED - len(chosen)]
    chosen |= {int(number) for number in drawn}
    return [one for one in past if one.state is not TrialState.COMPLETE or one.number in chosen]


ENTRY = Sampler(
    partial(by_model, propose=propose), "few, expensive trials of one goal", is_model_based=True
)
