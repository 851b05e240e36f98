"""Joins the generator to the catalog."""

from __future__ import annotations

from pathlib import Path

from seqtune.contracts.errors import ConfigurationError

from .._scratch import scratch_folder
from .params import SampleParameters


def generate_sample(parameters: SampleParameters, scratch: Path) -> tuple[Path, ...]:
    """Interactions, genres, directors, writers and titles, as a user would bring them."""
    from .generate import generate

    if not parameters.enabled:
        raise ConfigurationError(
            "sample.enabled=false: sample data is generated in its own environment only, so that "
            "it never replaces files of yours; run `kedro run --pipeline sample --env sample`"
        )
    with scratch_folder(scratch, "sample") as out:
        return generate(parameters, out=out)
