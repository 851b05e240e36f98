"""The report of a stage; imports nothing, so that listing the tasks stays fast."""

from __future__ import annotations

from typing import Any

Report = dict[str, Any]
"""JSON-ready results of a stage, shown by Kedro-Viz and printed at the end of a run."""
OURS = "model"
"""The column of the trained model in a metrics report; the others are baselines."""
COMPARISONS, SEGMENTS, SEGMENT_CHART = "comparisons", "segments", "segment_metrics"
"""Two tables and a chart of systems that were scored on the same rows."""
