"""A seed is a function of its place: equal everywhere, different for neighbours."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from seqtune.core.seeds import derive_seed

PLACES = st.lists(st.one_of(st.integers(0, 10**6), st.sampled_from(["mask", "order"])), max_size=4)


def test_value_is_pinned() -> None:
    """Another value would make every recorded run irreproducible: raise a format version then."""
    assert derive_seed(42, "masks", 3, 7) == 6790346225619782136


def test_equal_in_another_process_whatever_its_hash_seed() -> None:
    code = "from seqtune.core.seeds import derive_seed; print(derive_seed(42, 'masks', 3, 7))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(result.stdout) == derive_seed(42, "masks", 3, 7)


def test_neighbours_differ() -> None:
    seeds = {
        derive_seed(seed, purpose, epoch, step)
        for seed in range(3)
        for purpose in ("masks", "order")
        for epoch in range(10)
        for step in range(20)
    }

    assert len(seeds) == 3 * 2 * 10 * 20


def test_parts_do_not_run_together() -> None:
    assert derive_seed(1, 23) != derive_seed(12, 3)
    assert derive_seed(4, "a", 1) != derive_seed(4, "a1")


@given(st.integers(0, 2**32 - 1), PLACES)
def test_fits_every_generator(seed: int, place: list[str | int]) -> None:
    assert 0 <= derive_seed(seed, *place) < 2**63
