"""Methods to find the weights that maximise a score.

single    all weight on the best member
uniform   equal weights of the networks; baselines get none
greedy    adds the most helpful member, repeatedly, with replacement; keeps the best prefix of that
          list, and a member's weight is its share of it
simplex   Nelder-Mead over the logits of a softmax, from several starts

A ranking metric is flat almost everywhere, so it has no useful gradient. The last two are never
worse than the best single member on the rows that they are found on.

Shapes: M members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from seqtune.core.seeds import derive_seed

Floats = npt.NDArray[np.float64]
Score = Callable[[Floats], float]

SINGLE, UNIFORM, GREEDY, SIMPLEX = METHODS = ("single", "uniform", "greedy", "simplex")
"""The simplest first."""
EQUAL = 1e-12
"""Scores that differ by at most this are equal."""

RANDOM_STARTS = 2
CALLS_PER_MEMBER = 50
"""Limit of scores for each start of Nelder-Mead, times the number of members."""
LEAST_LOGIT_SHARE = 0.01
"""The share that stands for 0, which a softmax cannot give."""
NEGLIGIBLE = 0.02
"""Smaller shares are dropped if the score does not fall, which saves a model."""


def find_weights(
    method: str, score: Score, num_members: int, *, rounds: int, seed: int, num_baselines: int = 0
) -> Floats:  # [M]
    """Find non-negative weights that add up to 1; baselines are the last members."""
    if method == SINGLE:
        return best_of(np.eye(num_members), score)
    if method == UNIFORM:
        return _uniform(num_members, num_baselines)
    if method == GREEDY:
        return _greedy(score, num_members, rounds=rounds)
    return _simplex(score, num_members, rounds=rounds, seed=seed, num_baselines=num_baselines)


def _uniform(num_members: int, num_baselines: int) -> Floats:
    num_networks = num_members - num_baselines
    return np.repeat([1.0 / num_networks, 0.0], [num_networks, num_baselines])


def _greedy(score: Score, num_members: int, *, rounds: int) -> Floats:
    counts = np.zeros(num_members)
    prefixes = []
    for size in range(1, rounds + 1):
        counts = size * best_of(((counts + one) / size for one in np.eye(num_members)), score)
        prefixes.append(counts / size)
    return best_of(prefixes, score)


def _simplex(
    score: Score, num_members: int, *, rounds: int, seed: int, num_baselines: int
) -> Floats:
    known = [
        best_of(np.eye(num_members), score),
        _uniform(num_members, num_baselines),
        _greedy(score, num_members, rounds=rounds),
    ]
    random = np.random.default_rng(derive_seed(seed, "simplex"))
    starts = [np.log(np.maximum(weights, LEAST_LOGIT_SHARE)) for weights in known]
    starts += list(random.normal(size=(RANDOM_STARTS, num_members)))
    found = best_of([*known, *(_run_nelder_mead(score, start) for start in starts)], score)
    return best_of([_drop_negligible(found), found], score)


def _run_nelder_mead(score: Score, start: Floats) -> Floats:
    """Return the weights that Nelder-Mead finds from these logits [M]."""
    from scipy.optimize import minimize

    result = minimize(
        lambda logits: -score(_softmax(logits)),
        start,
        method="Nelder-Mead",
        options={
            # steps of 1: the metric does not change at the small default steps
            "initial_simplex": np.vstack([start, start + np.eye(len(start))]),
            "maxfev": CALLS_PER_MEMBER * len(start),
            "xatol": 1e-3,
            "fatol": 1e-9,
        },
    )
    return _softmax(result.x)


def _softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max())
    weights: Floats = shares / shares.sum()
    return weights


def _drop_negligible(weights: Floats) -> Floats:
    kept = np.where(weights < min(NEGLIGIBLE, weights.max()), 0.0, weights)
    rest: Floats = kept / kept.sum()
    return rest


def best_of(candidates: Iterable[Floats], score: Score) -> Floats:
    """Return the candidate with the highest score, the first among equals."""
    best, *others = candidates
    highest = score(best)
    for candidate in others:
        if (value := score(candidate)) > highest + EQUAL:
            best, highest = candidate, value
    return best
