"""Ways to find weights: each is given a function of the weights to maximise.

single    all on the best member
uniform   the same for everybody
greedy    members are chosen one after another, again and again, whichever helps most; the best
          beginning of that list is kept, and a member's weight is its share of it
simplex   Nelder-Mead over the logits of a softmax, from several starts

A ranking metric is flat almost everywhere, so there is no gradient to follow. The last two never
do worse than the best single member on the rows that they are found on.

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
"""The plainest first."""
EQUAL = 1e-12
"""Scores that differ by no more are equal."""

RANDOM_STARTS = 2
CALLS_PER_MEMBER = 50
"""How often Nelder-Mead may ask for a score from each start, for each member."""
LEAST_LOGIT_SHARE = 0.01
"""Stands for no share at all in a softmax, which knows no zero."""
NEGLIGIBLE = 0.02
"""A share below is dropped where that costs nothing: one model fewer to keep and to score."""


def find_weights(
    method: str, score: Score, num_members: int, *, rounds: int, seed: int
) -> Floats:  # [M]
    """Non-negative weights that add up to 1."""
    if method == SINGLE:
        return _single(score, num_members)
    if method == UNIFORM:
        return _uniform(num_members)
    if method == GREEDY:
        return _greedy(score, num_members, rounds=rounds)
    return _simplex(score, num_members, rounds=rounds, seed=seed)


def _single(score: Score, num_members: int) -> Floats:
    return best_of(np.eye(num_members), score)


def _uniform(num_members: int) -> Floats:
    return np.full(num_members, 1.0 / num_members)


def _greedy(score: Score, num_members: int, *, rounds: int) -> Floats:
    counts = np.zeros(num_members)
    prefixes = []
    for size in range(1, rounds + 1):
        counts = size * best_of(((counts + one) / size for one in np.eye(num_members)), score)
        prefixes.append(counts / size)
    return best_of(prefixes, score)


def _simplex(score: Score, num_members: int, *, rounds: int, seed: int) -> Floats:
    known = [
        _single(score, num_members),
        _uniform(num_members),
        _greedy(score, num_members, rounds=rounds),
    ]
    random = np.random.default_rng(derive_seed(seed, "simplex"))
    starts = [np.log(np.maximum(weights, LEAST_LOGIT_SHARE)) for weights in known]
    starts += list(random.normal(size=(RANDOM_STARTS, num_members)))
    found = best_of([*known, *(_climb(score, start) for start in starts)], score)
    return best_of([_without_negligible(found), found], score)


def _climb(score: Score, start: Floats) -> Floats:
    """The weights where Nelder-Mead ends that starts at these logits [M]."""
    from scipy.optimize import minimize

    result = minimize(
        lambda logits: -score(_softmax(logits)),
        start,
        method="Nelder-Mead",
        options={
            # steps of 1: the metric does not move for the small ones that are the default
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


def _without_negligible(weights: Floats) -> Floats:
    kept = np.where(weights < min(NEGLIGIBLE, weights.max()), 0.0, weights)
    rest: Floats = kept / kept.sum()
    return rest


def best_of(candidates: Iterable[Floats], score: Score) -> Floats:
    """The candidate that scores highest; the first among equals."""
    best, *others = candidates
    highest = score(best)
    for candidate in others:
        if (value := score(candidate)) > highest + EQUAL:
            best, highest = candidate, value
    return best
