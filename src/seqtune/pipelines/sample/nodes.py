"""Joins the generators to the catalog."""

from __future__ import annotations

from pathlib import Path

from seqtune.contracts.errors import ConfigurationError

from .._scratch import scratch_folder
from .params import SampleParameters


def generate_sample(parameters: SampleParameters, scratch: Path) -> tuple[Path, ...]:
    """Interactions, genres, directors, writers and titles, as a user would bring them."""
    from .generate import generate

    _require_enabled(parameters, "sample")
    with scratch_folder(scratch, "sample") as out:
        return generate(parameters, out=out)


def generate_classify_sample(parameters: SampleParameters, scratch: Path) -> tuple[Path, ...]:
    """Texts with labels, and folders of tiny encoders."""
    from .text_files import generate_texts

    _require_enabled(parameters, "classify.sample")
    with scratch_folder(scratch, "sample") as out:
        return generate_texts(parameters, out=out)


def generate_summarize_sample(parameters: SampleParameters, scratch: Path) -> tuple[Path, ...]:
    """Dialogues with summaries, and folders of tiny models that write."""
    from .text_files import generate_dialogues

    _require_enabled(parameters, "summarize.sample")
    with scratch_folder(scratch, "sample") as out:
        return generate_dialogues(parameters, out=out)


def _require_enabled(parameters: SampleParameters, pipeline: str) -> None:
    if not parameters.enabled:
        raise ConfigurationError(
            "sample.enabled=false: sample data is generated in its own environment only, so that "
            f"it never replaces files of yours; run `kedro run --pipeline {pipeline} --env sample`"
        )
