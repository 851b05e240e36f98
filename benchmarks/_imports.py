"""Runs `kedro` and writes down what each import took, by processor time.

    python benchmarks/_imports.py FILE registry list

`python -X importtime` knows the wall clock alone, which on a machine with others says little.
"""

from __future__ import annotations

import importlib._bootstrap as bootstrap
import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any


class Stopwatch:
    """In the place of the function that loads a module."""

    def __init__(self) -> None:
        self.found: list[tuple[str, float, float]] = []
        """Module, its own seconds, and with what it imports."""
        self._load = bootstrap._load_unlocked  # type: ignore[attr-defined]
        self._inner: list[float] = []

    def __call__(self, spec: Any) -> Any:
        began = time.process_time()
        self._inner.append(0.0)
        try:
            return self._load(spec)
        finally:
            took = time.process_time() - began
            self.found.append((spec.name, took - self._inner.pop(), took))
            if self._inner:
                self._inner[-1] += took


def main() -> None:
    file, *arguments = sys.argv[1:]
    stopwatch = Stopwatch()
    bootstrap._load_unlocked = stopwatch  # type: ignore[attr-defined]
    sys.argv = ["kedro", *arguments]
    try:
        runpy.run_module("kedro", run_name="__main__")
    finally:
        Path(file).write_text(json.dumps(stopwatch.found))


if __name__ == "__main__":
    main()
