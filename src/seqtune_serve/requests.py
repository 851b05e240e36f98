"""The bodies of requests, and the limits on them."""

from __future__ import annotations

import re
from collections.abc import Sized
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

from .classify import TextRequest
from .recommend import ListRequest
from .settings import ServeSettings

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character, which JSON can write and UTF-8 cannot: an answer could not name it."""


class LimitError(Exception):
    """A request beyond a limit of the server."""


def _raw_id(value: Any) -> Any:
    is_text = isinstance(value, str) and SURROGATE.search(value) is None
    if is_text or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise PydanticCustomError("item_id", "an item id is text or a whole number")


RawId = Annotated[Any, BeforeValidator(_raw_id)]


class Body(BaseModel):
    """Unknown keys are errors: they would have no effect."""

    model_config = ConfigDict(extra="forbid")


class RecommendBody(Body):
    """A history, and what its list may hold."""

    history: list[RawId] = Field(default=[], description="oldest item first; empty: popular items")
    k: Annotated[StrictInt, Field(ge=1)] | None = None
    exclude: list[RawId] = []
    include_only: list[RawId] | None = None
    exclude_seen: StrictBool | None = None

    def request(self, limits: ServeSettings) -> ListRequest:
        """Return what the model answers; refuse what is beyond the limits."""
        _require_at_most("k", self.k or 0, limits.max_k)
        for name in ("history", "exclude", "include_only"):
            _require_length(name, getattr(self, name) or (), limits.max_history)
        return ListRequest(**dict(self))


class ClassifyBody(Body):
    """A text, and which of its labels to return."""

    text: StrictStr
    only_given: StrictBool = False

    def request(self, limits: ServeSettings) -> TextRequest:
        """Return what the model answers; refuse what is beyond the limits."""
        _require_length("text", self.text, limits.max_text)
        return TextRequest(**dict(self))


def _require_length(name: str, value: Sized, most: int) -> None:
    _require_at_most(f"the length of {name}", len(value), most)


def _require_at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise LimitError(f"{name} is {value}; this server takes at most {most}")
