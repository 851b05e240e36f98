"""Seeds that depend on the position in a run, not on earlier draws.

Every random choice of a run (order of batches, masks, dropout) comes from a generator seeded by
`derive_seed(seed, purpose, epoch, step, ...)`. So a resumed run makes exactly the draws of an
uninterrupted one, without saved generator states.
"""

from __future__ import annotations

from hashlib import blake2b


def derive_seed(seed: int, *place: str | int) -> int:
    """Return the 63-bit seed of a position in a run: the same on every machine."""
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
