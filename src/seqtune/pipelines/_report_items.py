"""The node that draws the figures and tables of a task from its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kedro.pipeline import Node

from seqtune.core.task import Report, TaskSpec

MISSING = (
    "The metrics do not contain it: nothing was held out to score, or they are of an earlier "
    "version"
)


def exhibit_nodes(task: TaskSpec, metrics: str, *, name: str, prefix: str = "") -> list[Node]:
    """Return one node, or none for a task without figures and tables; `metrics` is a dataset."""
    outputs = [
        *(f"{prefix}{figure}_figure" for figure in task.figures),
        *(f"{prefix}{table}_table" for table in task.tables),
    ]
    if not outputs:
        return []
    return [Node(ExhibitNodes(task).draw, inputs=[metrics], outputs=outputs, name=name)]


@dataclass(frozen=True)
class ExhibitNodes:
    task: TaskSpec

    def draw(self, metrics: Report | None) -> list[Any]:
        """Draw figures, then tables, in the order of the task; a missing one says so."""
        from seqtune.core.metrics import EXHIBITS
        from seqtune.reporting.figures import draw_exhibit

        shown = (metrics or {}).get(EXHIBITS) or {}
        figures = [draw_exhibit(shown.get(name), missing=MISSING) for name in self.task.figures]
        return [*figures, *(_table(shown.get(name)) for name in self.task.tables)]


def _table(shown: Mapping[str, Any] | None) -> Any:
    """Build a data frame; one without columns could not be read back."""
    from seqtune.reporting.figures import exhibit_table

    table = exhibit_table(shown)
    if not len(table.columns):
        table["missing"] = [MISSING]
    return table
