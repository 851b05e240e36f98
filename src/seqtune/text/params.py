"""Parameters that tasks on texts share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seqtune.core.config import PositiveInt, Section


class TextIngestConfig(Section):
    """How raw files are read."""

    format: Literal["auto", "csv", "tsv", "jsonl", "parquet"] = "auto"
    """auto goes by the file's name."""
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp949", "euc-kr"] = "utf-8"
    """Of text files; cp949 is usual for Korean files from Excel."""
    max_characters: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Longer texts are cut there before they are tokenised, and counted."""
    max_examples: PositiveInt = 5
    """Lines named in an error."""


class PretrainedConfig(Section):
    """Which pretrained model, and what is taken of it."""

    name: str
    """A folder that save_pretrained wrote, or a name on the Hugging Face hub."""
    revision: str | None = None
    """null: what the name means now, which is then written down."""
    allow_pickle: bool = False
    """Take weights that are no safetensors; loading them can run any code that is in them."""
    from_scratch: bool = False
    """Take the architecture and the tokeniser alone, and start from random weights."""
