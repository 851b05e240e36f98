"""The parameters of the sample data."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from .config import Section


class SampleParameters(Section):
    """Whether the sample data may be written."""

    enabled: bool = False
    """True in conf/sample only: elsewhere the files would lie where a user's own belong."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_other_keys(cls, values: dict[str, Any]) -> dict[str, Any]:
        if others := ", ".join(f"sample.{key}" for key in values if key != "enabled"):
            raise ValueError(
                f"{others}: the sample data is a fixed set of files, with no size or seed to set; "
                "the only key is sample.enabled, remove the others"
            )
        return values
