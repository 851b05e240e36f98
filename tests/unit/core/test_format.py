"""Numbers, durations and sizes as people read them."""

from __future__ import annotations

import pytest

from seqtune.core.format import (
    MIB,
    end_sentence,
    format_duration,
    format_size,
    format_value,
    shorten,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0 s"),
        (2, "2 s"),
        (9.94, "9.9 s"),
        (42.4, "42 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (129_600, "1 d 12 h"),
    ],
)
def test_a_duration_has_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (12, "12 bytes"),
        (2_371_614, "2.3 MiB"),
        (100 * MIB, "100 MiB"),
        (1023.7 * MIB, "1.0 GiB"),
        (45_300 * MIB, "44 GiB"),
        (3_000_000 * 1024 * MIB, "2930 TiB"),
    ],
)
def test_a_size_has_one_unit(num_bytes: float, text: str) -> None:
    assert format_size(num_bytes) == text


def test_values_and_texts_are_cut() -> None:
    assert [format_value(value) for value in (0.00123456, 7, "cosine", True)] == [
        "0.001235",
        "7",
        "cosine",
        "True",
    ]
    assert shorten("as it is", 8) == "as it is"
    assert shorten("one word too many", 9) == "one word…"


def test_a_question_needs_no_full_stop() -> None:
    assert end_sentence("did you mean 'item'?") == "did you mean 'item'?"
    assert end_sentence("choose one of user, item") == "choose one of user, item."
