"""The template stays whole whatever is cut, and an answer ends with what ends a turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqtune.tasks.summarize.prompts import FALLBACK, end_of_turn, prompt_of
from seqtune.text.pretrained import load_tokenizer

from .examples import make_model, rows

ASKED = "Summarise this."


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tokenizer(make_model(tmp_path_factory.mktemp("m") / "llama", "llama", rows(10)))


def plain(tokenizer: Any, folder: Path) -> Any:
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    found = load_tokenizer(folder)
    found.chat_template = None
    return found


def test_the_prompt_is_the_chat_template_around_the_dialogue(tokenizer: Any) -> None:
    ids = prompt_of(tokenizer, ASKED).around(tokenizer.encode("milk or tea?"))
    assert tokenizer.decode(ids) == (f"<|user|>\n{ASKED}\n\nmilk or tea?<|end|>\n<|assistant|>\n")


def test_the_day_is_not_in_the_prompt(tokenizer: Any) -> None:
    """Llama 3 writes the date of the day unless it is told one: every day other inputs."""
    tokenizer.chat_template = (
        "{{ date_string if date_string is defined else 'today' }} {{ enable_thinking }} "
        + tokenizer.chat_template
    )
    text = tokenizer.decode(prompt_of(tokenizer, ASKED).before)
    assert text.startswith("26 Jul 2024 False")


def test_a_model_without_template_gets_the_plain_one(tokenizer: Any, tmp_path: Path) -> None:
    base = plain(tokenizer, tmp_path)
    ids = prompt_of(base, ASKED).around(base.encode("milk"))
    assert base.decode(ids) == FALLBACK.format(instruction=ASKED, dialogue="milk")
    assert end_of_turn(base) == base.eos_token_id


def test_an_answer_ends_as_the_template_ends_a_turn(tokenizer: Any) -> None:
    """<|end|> here; a tokeniser whose eos is another token would not stop at it."""
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    tokenizer.eos_token = tokenizer.bos_token
    assert end_of_turn(tokenizer) == end
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id
