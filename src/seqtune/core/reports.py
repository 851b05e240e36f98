"""What a stage reports; without imports, so that listing the tasks stays fast."""

from __future__ import annotations

from typing import Any

Report = dict[str, Any]
"""JSON-ready findings of a stage, shown by Kedro-Viz and printed at the end of a run."""
OURS = "model"
"""In a report of metrics, the column of what was trained; the others are baselines."""
