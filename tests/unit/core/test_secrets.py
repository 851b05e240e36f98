"""Passwords stay out of what is tracked, wherever they are written."""

from __future__ import annotations

import pytest

from seqtune.core.secrets import HIDDEN, mask, masked


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://eve:hunter2@db.example/studies",
        "cannot reach mysql+pymysql://eve:hunter2@[::1]:3306/x (timeout)",
        "postgresql://eve:" + "p@ss/hunter2@host/x",
        "sqlite:///studies.db?password=hunter2&mode=ro",
        "WANDB_API_KEY=hunter2",
        "token: hunter2, and more",
    ],
)
def test_secret_is_gone_and_the_rest_is_there(text: str) -> None:
    shown = mask(text)

    assert "hunter2" not in shown
    assert HIDDEN in shown
    assert shown[:4] == text[:4]


@pytest.mark.parametrize(
    "text", ["val_ndcg@10 0.64", "https://example.org/a?b=c", 'R&B "hits" <b>', "3 tokens: 12"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text) == text


def test_values_of_secret_names_are_hidden_at_any_depth() -> None:
    asked = {"lr": 0.1, "storage": {"db_password": "hunter2", "urls": ["a://e:hunter2@h"]}}

    shown = masked(asked)

    assert "hunter2" not in str(shown)
    assert shown["lr"] == 0.1
