"""The Jinja environment: it escapes all values and ignores missing ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader

from ._figures import script_hash
from ._numbers import FILTERS
from ._views import FUNCTIONS, is_of_a_space
from ._words import named, say

FOLDER = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; "
    "script-src {scripts}; base-uri 'none'; form-action 'none'"
)


class DictEnvironment(Environment):
    """Looks up keys only: `report.items` is the number of items, not a method of dict."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)


@cache
def environment() -> Environment:
    made = DictEnvironment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        optimized=False,  # each template is used once: folding constants takes longer than it saves
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.tests["search_space"] = is_of_a_space
    made.globals.update(FUNCTIONS, t=say, named=named)
    return made


@cache
def asset(name: str) -> str:
    """Read the style or script of the page."""
    return (FOLDER / name).read_text(encoding="utf-8")


def policy(*scripts: bytes, draws: bool = False) -> str:
    """Allow only these scripts, by their content; Plotly (`draws`) needs `eval` as well."""
    allowed = [script_hash(script) for script in scripts if script]
    return POLICY.format(scripts=" ".join([*allowed, "'unsafe-eval'"] if draws else allowed))
