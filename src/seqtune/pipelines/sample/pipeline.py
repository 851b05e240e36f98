"""The pipelines of the sample data: one node for each task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kedro.pipeline import Node, Pipeline

from .._template import SCRATCH
from .nodes import write_classify_sample, write_sample, write_summarize_sample

OUTPUTS = (
    "sample_interactions",
    "sample_genre",
    "sample_director",
    "sample_writer",
    "sample_title",
)
CLASSIFY_OUTPUTS = ("sample_texts", "sample_electra", "sample_bert", "sample_roberta")
SUMMARIZE_OUTPUTS = ("sample_dialogues", "sample_kobart", "sample_llama")


def create_pipeline() -> Pipeline:
    return _pipeline(write_sample, OUTPUTS)


def create_classify_pipeline() -> Pipeline:
    return _pipeline(write_classify_sample, CLASSIFY_OUTPUTS)


def create_summarize_pipeline() -> Pipeline:
    return _pipeline(write_summarize_sample, SUMMARIZE_OUTPUTS)


def _pipeline(write: Callable[..., tuple[Path, ...]], outputs: Sequence[str]) -> Pipeline:
    node = Node(
        write,
        inputs=["params:sample", SCRATCH],
        outputs=list(outputs),
        name=write.__name__,
    )
    return Pipeline([node], tags=["sample"])
