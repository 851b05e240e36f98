"""Minimum Bayes risk: choose the summary of a dialogue that the others agree with most.

Members' shares are the probabilities of their summaries: expected ROUGE is the share-weighted mean
against all of them, itself included. A member with share 0 is never chosen. Ties go to the larger
share, then to the order of members.
Shapes: R rows, M members (a summary of each), 3 of ROUGE.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .rouge import compare, counted

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

DECIMALS = 9
"""Expectations are rounded, so that the order of a sum never decides."""


def agreement(summaries: Sequence[Sequence[str]], *, tokenizer: str) -> Floats:
    """Return ROUGE-1 + 2 + L between all summaries of each row [R, M, M]."""
    members = len(summaries[0]) if summaries else 0
    texts = iter(counted([text for own in summaries for text in own], tokenizer))
    found = np.zeros((len(summaries), members, members))
    for row in range(len(summaries)):
        own = [next(texts) for _ in range(members)]
        for one in range(members):
            for other in range(one, members):
                found[row, one, other] = found[row, other, one] = sum(compare(own[one], own[other]))
    return found


def expected(agreements: Floats, shares: Floats) -> Floats:
    """Return the expected ROUGE of each member's summary [R, M], summed in the order of members."""
    shares = np.asarray(shares, np.float64) / np.sum(shares)
    total = np.zeros(agreements.shape[:2])
    for member, share in enumerate(shares):
        if share > 0:
            total += share * agreements[:, :, member]
    return total


def choose(agreements: Floats, shares: Floats) -> Int64:
    """Return the member whose summary is chosen, by row [R]."""
    shares = np.asarray(shares, np.float64)
    found = np.round(expected(agreements, shares), DECIMALS)
    order = np.argsort(-shares, kind="stable")
    order = order[shares[order] > 0]
    chosen: Int64 = order[found[:, order].argmax(axis=1)]
    return chosen
