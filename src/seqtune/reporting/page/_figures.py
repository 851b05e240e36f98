"""Prepare Plotly figures for the page, and pack the library once."""

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
"""Of gzip; 9 takes longer and hardly saves space."""
TITLE_ROOM = 14
WIDE = {"parcoords": 760}
"""The width that a kind of figure needs to be readable; narrower screens scroll it."""
MANY_AXES = 660
PREFIXES = ("ensemble_", "compare_")
"""Of figures and tables that several reports have."""


@dataclass(frozen=True)
class Figure:
    """One figure of the page, whose title is text above it."""

    name: str
    kind: str
    """history, importance, ...: part of the key of the text that explains it."""
    title: str
    """Shown if no text explains the figure."""
    said: str
    """The subtitle; below a text that is the same for all data sets, the title as well."""
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
    """Read plotly.min.js without importing its package; return nothing if it is missing."""
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        return b""
    file = Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return file.read_bytes() if file.is_file() else b""


@cache
def packed_plotly() -> str:
    """Compress the library as base64, which the browser unpacks: under half of its size."""
    return base64.b64encode(gzip.compress(plotly_script(), LEVEL, mtime=0)).decode()


def script_hash(script: bytes) -> str:
    """Return the hash by which a content security policy names a script."""
    return f"'sha256-{base64.b64encode(sha256(script).digest()).decode()}'"


def figures(found: Mapping[str, Any]) -> list[Figure]:
    """Prepare all figures that show something; leave out damaged ones."""
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
        unused = _unused_height(layout, data, margin)
        margin["t"] = margin.get("t", 80) - unused
        layout["height"] = height = layout.get("height", 440) - unused
        layout.pop("width", None)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    own, said = _title_texts(title)
    whole = exhibit_name(name)
    is_exhibit = f"figure.{whole}" in texts()
    return Figure(
        name=name,
        kind=whole if is_exhibit else name.rpartition("_")[2],
        title=own,
        said="; ".join(filter(None, (own, said))) if is_exhibit else said,
        json=json_for_html(drawn),
        height=int(height),
        min_width=_min_width(layout, data),
        version=facts.get("version"),
        here=bool(facts.get("here")),
    )


def exhibit_name(name: str) -> str:
    """Return the name of a figure or table in the report that it comes from."""
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _title_texts(title: Any) -> tuple[str, str]:
    """Return title and subtitle as plain text."""
    if not isinstance(title, Mapping):
        return "", ""
    both = title.get("text"), (title.get("subtitle") or {}).get("text")
    own, said = (html.unescape(str(one or "").replace("<br>", " ")) for one in both)
    return own, said


def _unused_height(layout: Mapping[str, Any], data: list[Any], margin: Mapping[str, Any]) -> int:
    """Return the height that the title took, less that of names of axes below it."""
    labels = 70 if data[0].get("type") == "parcoords" else 0
    notes = layout.get("annotations") or ()
    above = any(note.get("yref") == "paper" and (note.get("y") or 0) >= 1 for note in notes)
    return max(0, int(margin.get("t", 80)) - TITLE_ROOM - labels - (24 if above else 0))


def _min_width(layout: Mapping[str, Any], data: list[Any]) -> int:
    kinds = [WIDE.get(str(trace.get("type")), 0) for trace in data]
    is_grid = any(str(key).startswith("xaxis") and key != "xaxis" for key in layout)
    is_wide = int((layout.get("margin") or {}).get("r", 0)) > 120
    return max([*kinds, MANY_AXES if is_grid or is_wide else 0])


def json_for_html(value: Any) -> str:
    """Write JSON that cannot end the script element around it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
