"""Format numbers, times and values for people; a missing value is a dash."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jinja2 import Undefined
from markupsafe import Markup

from seqtune.core.format import format_duration, format_size, format_value

from ._words import say

DASH = "–"
MINUS = "−"
METRICS = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "macro_f1_tuned": "macro F1 (tuned)",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "exact_match": "exact match",
    "lrap": "LRAP",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rouge_sum": "ROUGE sum",
    "mean_words": "words",
    "seconds_per_row": "seconds a row",
    "decoding_seconds_per_row": "seconds of decoding a row",
}
PARTS = {"val_": "valid ", "train_": "train ", "test_": "test ", "decoded_": "decoded "}


def is_missing(value: Any) -> bool:
    return value is None or isinstance(value, Undefined)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def metric(value: Any, digits: int = 4) -> str:
    """0.2114; 12 stays 12."""
    if not is_number(value):
        return DASH
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
    return text.replace("-", MINUS)


def signed(value: Any, digits: int = 4) -> str:
    return f"{value:+,.{digits}f}".replace("-", MINUS) if is_number(value) else DASH


def count(value: Any) -> str:
    """87,837"""
    return f"{value:,.0f}" if is_number(value) else DASH


def percent(value: Any, digits: int = 0) -> str:
    return f"{100 * value:.{digits}f} %" if is_number(value) else DASH


def plain(value: Any) -> str:
    """A value of a configuration, as in YAML, with few digits."""
    return format_value(value) if is_number(value) else exact(value)


def cell(value: Any) -> str:
    """A value in a table of a stage."""
    if is_missing(value) or value == "":
        return DASH
    if is_number(value):
        return count(value) if float(value).is_integer() else metric(value)
    return str(value)


def exact(value: Any) -> str:
    """A value with every digit."""
    if is_missing(value):
        return DASH
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def duration(seconds: Any) -> str | Markup:
    """0.3 s, 12 s, 4 min 05 s, 3 h 20 min; in both languages."""
    if not is_number(seconds):
        return DASH
    parts = format_duration(seconds).split()
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return Markup(" ").join(say(f"duration.{unit}", number=number) for number, unit in pairs)


def size(num_bytes: Any) -> str:
    return format_size(num_bytes) if is_number(num_bytes) else DASH


def moment(text: Any) -> str:
    """A version of Kedro's, or an ISO time, to the minute."""
    if not isinstance(text, str):
        return DASH
    date, _, time = text.partition("T")
    try:
        parsed = datetime.fromisoformat(f"{date} {time[:5].replace('.', ':')}")
    except ValueError:
        return text  # users may name versions
    return parsed.strftime("%Y-%m-%d %H:%M UTC")


def metric_name(name: Any) -> str:
    """NDCG@10, with its part: valid NDCG@10."""
    text = "" if is_missing(name) else str(name)
    if text in METRICS:
        return METRICS[text]
    for prefix, part in PARTS.items():
        if text.startswith(prefix):
            return part + metric_name(text.removeprefix(prefix))
    return text if text.endswith("loss") or "/" in text else text.upper() if "@" in text else text


def breakable(key: Any) -> Markup:
    """A dotted key that may wrap after its dots and underscores."""
    parts = ("" if is_missing(key) else str(key)).split(".")
    return Markup(".<wbr>").join(Markup("_<wbr>").join(part.split("_")) for part in parts)


_ALL: tuple[Callable[..., str], ...] = (metric, signed, count, percent, plain, exact, cell)
_ALL += (duration, size, moment, metric_name, breakable)
FILTERS = {function.__name__: function for function in _ALL}
