"""The texts of the page, in two languages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup, escape

LANGUAGES = ("en", "ko")
ONE = "one"
"""English where {num} is 1; Korean has no plural."""
FILE = Path(__file__).with_name("texts.yml")


@cache
def texts() -> dict[str, dict[str, str]]:
    """Return each text by key and language: trusted HTML with {names} to fill in."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: dict[str, dict[str, str]] = yaml.load(FILE.read_text(encoding="utf-8"), loader)  # noqa: S506 - a safe loader, the faster one where there is one
    return loaded


def say(key: str, **values: Any) -> Markup:
    """Return a text in both languages, of which the page shows one; escape the values."""
    text = texts()[key]
    if ONE in text and str(values["num"]) == "1":
        text = {**text, "en": text[ONE]}
    both = [Markup(text[language]).format(**values) for language in LANGUAGES]  # noqa: S704 - our own texts
    if len(set(both)) == 1:
        return both[0]
    span = Markup('<span class="t" lang="{}">{}</span>')
    return Markup("").join(map(span.format, LANGUAGES, both))


def named(prefix: str, name: Any) -> Markup:
    """Translate a name that reports use (a state, an action), if there is a text for it."""
    key = f"{prefix}.{name}"
    return say(key) if key in texts() else escape(str(name))
