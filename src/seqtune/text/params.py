"""Parameters shared by tasks on texts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seqtune.core.config import PositiveInt, Section


class TextIngestConfig(Section):
    """How raw files are read."""

    format: Literal["auto", "csv", "tsv", "jsonl", "parquet"] = "auto"
    """auto: by the file's ending; Parquet and gzip by its content."""
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp949", "euc-kr"] = "utf-8"
    """Encoding of text files; cp949 is usual for Korean files from Excel."""
    max_characters: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Longer texts are cut before they are tokenised, and counted."""
    max_examples: PositiveInt = 5
    """Most lines listed in an error."""


class PretrainedConfig(Section):
    """Which pretrained model, and what is loaded from it."""

    name: str
    """A folder that save_pretrained wrote, or a name on the Hugging Face hub."""
    revision: str | None = None
    """null: the current revision, which is then recorded."""
    allow_pickle: bool = False
    """Allow pickled weights; loading them can run any code in them."""
    from_scratch: bool = False
    """Use only the architecture and the tokeniser, and start from random weights."""
