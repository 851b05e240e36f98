"""`--params`, where Kedro would split a list at its commas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf

from seqtune.core.errors import ConfigurationError

CLOSING = {"[": "]", "{": "}"}
QUOTES = "'\""


def parse_params(text: str) -> dict[str, Any] | str:
    """Return the values of `key=value,key=[value,value]`; unchanged if an item is no pair, which
    Kedro refuses."""
    items = [item.strip() for item in split_items(text)]
    pairs = [item.partition("=") for item in items]
    if not all(key.strip() and equals for key, equals, _ in pairs):
        return text
    for key, _, value in pairs:
        if not value.strip():
            raise ConfigurationError(
                f"--params {key}= has no value; write {key}=null for one that is not set, or "
                f"{key}='' for an empty text"
            )
    found: Any = OmegaConf.to_container(OmegaConf.from_dotlist(items))
    return dict(found)


def split_items(text: str) -> Iterator[str]:
    """Split at commas outside of brackets, braces and quotes."""
    closers: list[str] = []
    start = 0
    for place, character in enumerate(text):
        if closers and character == closers[-1]:
            closers.pop()
        elif closers and closers[-1] in QUOTES:
            continue
        elif character in CLOSING:
            closers.append(CLOSING[character])
        elif character in QUOTES and text[place - 1] in "=,[{: ":
            closers.append(character)  # not the apostrophe of a word
        elif character == "," and not closers:
            yield text[start:place]
            start = place + 1
    if closers:
        raise ConfigurationError(
            f"--params {text[start:]}: {closers[-1]} is missing; write a list as "
            "'key=[first,second]', in quotes of your shell"
        )
    yield text[start:]
