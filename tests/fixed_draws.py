"""Draws that follow from a test's name alone, not from which tests ran before it in the process.

What draws from the generators of a process without a seed of its own (dropout, a random tensor)
gave other numbers in each order of the tests, and an order belongs to one run of pytest-xdist.
`SEQTUNE_TEST_DRAWS=7 make test` draws others: a test that fails then has a bound that is too
narrow, or tests something that does not hold.
"""

from __future__ import annotations

import os
import random
import sys
import zlib
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

SALT = os.environ.get("SEQTUNE_TEST_DRAWS", "0")


def pytest_report_header() -> str:
    return f"draws: SEQTUNE_TEST_DRAWS={SALT}"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    _draw_anew(f"{fixturedef.baseid}::{fixturedef.argname}")
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    _draw_anew(item.nodeid)
    return (yield)


def _draw_anew(name: str) -> None:
    """Seed the generators of the process; torch's only where something has imported it."""
    seed = zlib.crc32(f"{SALT}:{name}".encode())
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed notes the stack, 1 ms
