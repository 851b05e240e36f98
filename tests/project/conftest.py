"""What these tests need that read the source as Python does."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_garbage_while_parsing() -> Iterator[None]:
    """Python 3.11 may give up ("AST constructor recursion depth mismatch") where what other tests
    left behind is collected in the middle of `ast.parse`."""
    gc.disable()
    yield
    gc.enable()
