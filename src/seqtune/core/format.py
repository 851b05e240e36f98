"""Format numbers, durations and sizes for display."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

MIB = float(1 << 20)
"""Bytes."""
DURATION_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def format_duration(seconds: float) -> str:
    """Format by the two largest units: 0.3 s, 42 s, 3 min 20 s, 2 h 05 min, 1 d 12 h."""
    if seconds < 9.95:
        return f"{round(seconds, 1):g} s"
    whole = round(seconds)
    for (large, size), (small, part) in pairwise(DURATION_UNITS):
        if whole >= size:
            first, second = divmod(round(whole / part), size // part)
            return f"{first} {large} {second:02d} {small}"
    return f"{whole} s"


def format_size(num_bytes: float) -> str:
    """Format a number of bytes: 512 bytes, 2.3 MiB, 45 GiB."""
    if num_bytes < 1024:
        return f"{num_bytes:.0f} bytes"
    size, units = num_bytes / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while size >= 1023.5 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.{0 if size >= 9.95 else 1}f} {units[0]}"


def format_value(value: Any) -> str:
    """Format the value of a parameter: 0.001234, cosine."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shorten(text: str, longest: int) -> str:
    """Cut a long text and end it with an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def cut_middle(text: str, longest: int) -> str:
    """Take out the middle of a long text, so that its beginning and its end stay."""
    start = longest * 2 // 3
    return text if len(text) <= longest else f"{text[:start]} … {text[start - longest :]}"


def end_sentence(text: str) -> str:
    """End a text with a full stop, unless it ends a sentence, as `did you mean 'item'?` does."""
    return text if text.endswith((".", "?", "!")) else f"{text}."
