"""The template stays whole whatever is cut, and an answer ends with what ends a turn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from seqtune.tasks.summarize.params import PLAIN_TEMPLATE, ModelConfig
from seqtune.tasks.summarize.prompts import end_of_turn, prompt_of
from seqtune.text.pretrained import load_tokenizer

from .examples import make_model, rows

ASKED = "Summarise this."
MODEL = ModelConfig(instruction=ASKED)


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
    ids = prompt_of(tokenizer, MODEL).around(tokenizer.encode("milk or tea?"))
    assert tokenizer.decode(ids) == (f"<|user|>\n{ASKED}\n\nmilk or tea?<|end|>\n<|assistant|>\n")


def test_the_day_is_not_in_the_prompt(tokenizer: Any) -> None:
    """Llama 3 writes the date of the day unless it is told one: every day other inputs."""
    tokenizer.chat_template = (
        "{{ date_string if date_string is defined else 'today' }} {{ enable_thinking }} "
        + tokenizer.chat_template
    )
    text = tokenizer.decode(prompt_of(tokenizer, MODEL).before)
    assert text.startswith("26 Jul 2024 False")


def test_a_model_without_template_gets_the_plain_one(tokenizer: Any, tmp_path: Path) -> None:
    base = plain(tokenizer, tmp_path)
    ids = prompt_of(base, MODEL).around(base.encode("milk"))
    assert base.decode(ids) == PLAIN_TEMPLATE.format(instruction=ASKED, dialogue="milk")
    assert end_of_turn(base) == base.eos_token_id


@pytest.mark.parametrize("is_base", [True, False])
def test_a_template_of_the_user_comes_before_that_of_the_model(
    tokenizer: Any, tmp_path: Path, *, is_base: bool
) -> None:
    """Also with braces of its own, and without the instruction."""
    own = plain(tokenizer, tmp_path) if is_base else tokenizer
    model = ModelConfig(prompt_template="{{Dialogue}}\n{dialogue}\nTL;DR: ", instruction=ASKED)
    ids = prompt_of(own, model).around(own.encode("milk"))
    assert own.decode(ids) == "{Dialogue}\nmilk\nTL;DR: "


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("Summary:", "has nothing to be filled in"),
        ("{dialog}", "has {dialog} to be filled in"),
        ("{dialogue}{dialogue}", "has {dialogue}, {dialogue} to be filled in"),
        ("{dialogue} {topic}", "has {dialogue}, {topic} to be filled in"),
        ("{dialogue", "is no template"),
    ],
)
def test_a_template_without_the_dialogue_is_refused(template: str, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        ModelConfig(prompt_template=template)
    assert "give {dialogue} once, {instruction} if it is wanted" in str(caught.value)


def test_an_answer_ends_as_the_template_ends_a_turn(tokenizer: Any) -> None:
    """<|end|> here; a tokeniser whose eos is another token would not stop at it."""
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    tokenizer.eos_token = tokenizer.bos_token
    assert end_of_turn(tokenizer) == end
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id
