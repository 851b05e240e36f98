"""The sizes at which everything must be readable."""

from __future__ import annotations

from typing import NamedTuple


class Screen(NamedTuple):
    name: str
    width: int
    height: int


DESKTOP = Screen("desktop", 1280, 900)
PHONE = Screen("phone", 390, 844)
