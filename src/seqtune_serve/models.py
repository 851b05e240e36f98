"""The model of an export, of any task that can be served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .classify import ClassifyModel
from .exports import Export, ExportError
from .recommend import RecommendModel

MODELS: Mapping[str, type[RecommendModel] | type[ClassifyModel]] = {
    "recommend": RecommendModel,
    "classify": ClassifyModel,
}


class Model(Protocol):
    """A model in memory that answers requests of its task, many at once."""

    @property
    def export(self) -> Export: ...

    def example(self) -> Any:
        """Return a request that warms the model up."""

    def answer(self, requests: Sequence[Any]) -> list[dict[str, Any]]: ...


def open_model(export: Export, *, precision: str = "fp32", num_threads: int = 1) -> Model:
    """Load the graphs of an export."""
    if export.task not in MODELS:
        raise ExportError(
            f"{export.path} is of the task {export.task}; served are {' and '.join(MODELS)}"
        )
    return MODELS[export.task].open(export, precision=precision, num_threads=num_threads)
