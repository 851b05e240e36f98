"""Wires the generator of the sample data."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from .._template import SCRATCH
from .nodes import generate_sample

OUTPUTS = (
    "sample_interactions",
    "sample_genre",
    "sample_director",
    "sample_writer",
    "sample_title",
)


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            Node(
                generate_sample,
                inputs=["params:sample", SCRATCH],
                outputs=list(OUTPUTS),
                name="generate_sample",
            )
        ],
        tags=["sample"],
    )
