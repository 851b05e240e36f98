"""What the page says of its own accord, in two languages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup, escape

LANGUAGES = ("en", "ko")
FILE = Path(__file__).with_name("texts.yml")


@cache
def texts() -> dict[str, dict[str, str]]:
    """Every text by its key, in each language; trusted HTML with {names} to fill in."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: dict[str, dict[str, str]] = yaml.load(FILE.read_text(encoding="utf-8"), loader)  # noqa: S506 - a safe loader, the faster one where there is one
    return loaded


def say(key: str, **values: Any) -> Markup:
    """A text in both languages, of which the page shows one. Values are escaped."""
    spoken = texts()[key]
    said = {
        language: Markup(spoken[language]).format(**values)  # noqa: S704 - our own texts
        for language in LANGUAGES
    }
    if len(set(said.values())) == 1:
        return said[LANGUAGES[0]]
    return Markup("").join(
        Markup('<span class="t" lang="{}">{}</span>').format(language, text)
        for language, text in said.items()
    )


def named(prefix: str, name: Any) -> Markup:
    """A word for a name that reports use (a state, an action), or the name itself."""
    key = f"{prefix}.{name}"
    return say(key) if key in texts() else escape(str(name))
