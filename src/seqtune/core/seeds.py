"""Seeds that are a function of where one stands, not of what was drawn before.

Every random choice of a run (order of batches, masks, dropout) is drawn from a generator seeded
by `derive_seed(seed, purpose, epoch, step, ...)`. A run that stopped anywhere therefore goes on
with exactly the draws it would have made: there is no generator state to save or to lose.
"""

from __future__ import annotations

from hashlib import blake2b


def derive_seed(seed: int, *place: str | int) -> int:
    """A 63-bit seed for one place in a run, equal on every machine and in every process."""
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
