"""`--params` with lists, and with what only looks like one."""

from __future__ import annotations

from typing import Any

import pytest

from seqtune.commands.params import parse_params
from seqtune.core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=1,a.c=x", {"a": {"b": 1, "c": "x"}}),
        ("a.b=[x, y z],c=2", {"a": {"b": ["x", "y z"]}, "c": 2}),
        ("a=[[1,2],[3]]", {"a": [[1, 2], [3]]}),
        ("a=[{b: 1, c: 2}]", {"a": [{"b": 1, "c": 2}]}),
        ("a='x,y',b=null", {"a": "x,y", "b": None}),
        ('a=["x,]", "y"]', {"a": ["x,]", "y"]}),
        ("a=[]", {"a": []}),
        ("a=it's,b=2", {"a": "it's", "b": 2}),
        ("a=''", {"a": ""}),
    ],
)
def test_commas_divide_values_outside_of_lists_and_quotes(text: str, values: Any) -> None:
    assert parse_params(text) == values


def test_an_open_bracket_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"--params b=\[x,y: \] is missing; write a list"):
        parse_params("a=1,b=[x,y")


def test_what_is_no_pair_is_left_to_kedro() -> None:
    assert parse_params("a=1,b") == "a=1,b"
