"""Successive halving in brackets."""

from __future__ import annotations

import math

from seqtune.core.seeds import derive_seed

from ...studies.records import root_number
from ..entries import PruningRule
from . import Case
from .halving import at_a_rung


def reason(case: Case) -> str:
    """Apply halving within the trial's bracket; each bracket begins later than the one before."""
    first, factor = case.pruner.warmup + 1, case.config.reduction_factor
    number = _num_brackets(first, case.pruner.epochs, factor)
    own = _bracket(case.root, number, factor)
    rivals = [one for one in case.others if _bracket(root_number(one), number, factor) == own]
    return at_a_rung(case, rivals, first * factor**own)


def _num_brackets(first: int, epochs: int, factor: int) -> int:
    number = 1
    while first * factor**number <= epochs:
        number += 1
    return number


def _bracket(root: int, number: int, factor: int) -> int:
    """Choose the bracket by the share of trials that each gets; the earliest gets the most."""
    shares = [math.ceil(number * factor**left / (left + 1)) for left in reversed(range(number))]
    place = derive_seed(0, "bracket", root) % sum(shares)
    return next(i for i in range(number) if place < sum(shares[: i + 1]))


ENTRY = PruningRule(reason, "halving stops it within its bracket; each bracket begins later")
