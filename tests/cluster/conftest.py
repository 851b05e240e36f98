"""The toys that these tests share with those of the parts."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SHARED = ("cluster", "contract", "unit/tasks/classify", "unit/tuning")
sys.path += [str(TESTS / folder) for folder in SHARED if str(TESTS / folder) not in sys.path]
