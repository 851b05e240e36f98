"""Plotly figures in the page: their JSON made ready, and the library packed once for all."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ._words import texts

LEVEL = 6
"""Of gzip; 9 takes longer and saves nothing worth it."""
TITLE_ROOM = 14
WIDE = {"parcoords": 760}
"""Points below which a kind of figure cannot be read; narrower screens scroll it in its box."""
MANY_AXES = 660
OF_ENSEMBLE = "ensemble_"


@dataclass(frozen=True)
class Figure:
    """One figure as the page draws it: its words stand above it as text, not in it."""

    name: str
    kind: str
    """history, importance, ...: what it shows; names the text that explains it."""
    title: str
    """Its own, for one that no text explains."""
    said: str
    """Its subtitle, below a text that is the same for all data sets its title too."""
    json: str
    height: int
    min_width: int
    version: str | None
    here: bool

    @property
    def is_explained(self) -> bool:
        return f"figure.{self.kind}" in texts()


@cache
def plotly_script() -> bytes:
    """plotly.min.js as it lies in the package, found without importing it; empty without it."""
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        return b""
    file = Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return file.read_bytes() if file.is_file() else b""


@cache
def packed_plotly() -> str:
    """The library, compressed, as base64: under half of its size, inflated by the browser."""
    return base64.b64encode(gzip.compress(plotly_script(), LEVEL, mtime=0)).decode()


def script_hash(script: bytes) -> str:
    """How a content security policy names a script."""
    return f"'sha256-{base64.b64encode(sha256(script).digest()).decode()}'"


def figures(found: Mapping[str, Any]) -> list[Figure]:
    """All figures that show something; a damaged one is left out."""
    made = (_figure(name, facts) for name, facts in found.items())
    return [figure for figure in made if figure is not None]


def _figure(name: str, facts: Mapping[str, Any]) -> Figure | None:
    try:
        drawn = json.loads(facts["json"])
        layout, data = drawn["layout"], drawn["data"]
        if not data:
            return None
        title = layout.pop("title", None) or {}
        margin = layout.setdefault("margin", {})
        spare = _spare(layout, data, margin)
        margin["t"] = margin.get("t", 80) - spare
        layout["height"] = height = layout.get("height", 440) - spare
        layout.pop("width", None)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    own, said = _words_of(title)
    whole = name.removeprefix(OF_ENSEMBLE)
    is_exhibit = f"figure.{whole}" in texts()
    return Figure(
        name=name,
        kind=whole if is_exhibit else name.rpartition("_")[2],
        title=own,
        said=". ".join(filter(None, (own, said))) if is_exhibit else said,
        json=json_for_html(drawn),
        height=int(height),
        min_width=_min_width(layout, data),
        version=facts.get("version"),
        here=bool(facts.get("here")),
    )


def _words_of(title: Any) -> tuple[str, str]:
    """Title and subtitle as text."""
    if not isinstance(title, Mapping):
        return "", ""
    both = title.get("text"), (title.get("subtitle") or {}).get("text")
    own, said = (html.unescape(str(one or "").replace("<br>", " ")) for one in both)
    return own, said


def _spare(layout: Mapping[str, Any], data: list[Any], margin: Mapping[str, Any]) -> int:
    """The height that its title took; names of axes may stand below that."""
    top = int(margin.get("t", 80))
    labels = 70 if data[0].get("type") == "parcoords" else 0
    above = any(_is_above(each) for each in layout.get("annotations") or ())
    return max(0, top - TITLE_ROOM - labels - (24 if above else 0))


def _is_above(annotation: Mapping[str, Any]) -> bool:
    return annotation.get("yref") == "paper" and (annotation.get("y") or 0) >= 1


def _min_width(layout: Mapping[str, Any], data: list[Any]) -> int:
    kinds = [WIDE.get(str(trace.get("type")), 0) for trace in data]
    is_grid = any(str(key).startswith("xaxis") and key != "xaxis" for key in layout)
    is_wide = int((layout.get("margin") or {}).get("r", 0)) > 120
    return max([*kinds, MANY_AXES if is_grid or is_wide else 0])


def json_for_html(value: Any) -> str:
    """JSON that no browser takes for the end of a script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
