"""Tokens of a causal model's prompt, before and after the dialogue.

With a chat template: one turn of the user (the instruction, an empty line, the dialogue) and the
beginning of the answer. Base models have none: their prompt is `model.prompt_template`, or the
instruction and the dialogue, followed by a line "Summary:". Only the dialogue is ever cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .params import PLAIN_TEMPLATE, ModelConfig

_DIALOGUE = "<<<dialogue>>>"
_ANSWER = "<<<answer>>>"
_SETTLED = {
    "enable_thinking": False,  # Qwen3: the answer follows at once
    "date_string": "26 Jul 2024",  # Llama 3: otherwise today's date
}


@dataclass(frozen=True)
class Prompt:
    """Tokens around a dialogue."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    def around(self, dialogue: Sequence[int]) -> list[int]:
        return [*self.before, *dialogue, *self.after]

    @property
    def length(self) -> int:
        """Number of tokens without the dialogue."""
        return len(self.before) + len(self.after)


def prompt_of(tokenizer: Any, model: ModelConfig) -> Prompt:
    """Return the tokens around each dialogue."""
    if model.prompt_template is None and tokenizer.chat_template:
        turn = {"role": "user", "content": f"{model.instruction}\n\n{_DIALOGUE}"}
        text = tokenizer.apply_chat_template(
            [turn], tokenize=False, add_generation_prompt=True, **_SETTLED
        )
        start: tuple[int, ...] = ()
    else:
        template = model.prompt_template or PLAIN_TEMPLATE
        text = template.format(instruction=model.instruction, dialogue=_DIALOGUE)
        first = tokenizer.encode("a", verbose=False)[0]
        start = (first,) if first == tokenizer.bos_token_id else ()
    before, _, after = text.partition(_DIALOGUE)
    return Prompt((*start, *_ids(tokenizer, before)), _ids(tokenizer, after))


def end_of_turn(tokenizer: Any) -> int:
    """Return the token that ends an answer in the chat template, else the tokeniser's own end."""
    end: int = tokenizer.eos_token_id
    if not tokenizer.chat_template:
        return end
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _ANSWER}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, **_SETTLED)
    after = _ids(tokenizer, text.partition(_ANSWER)[2])
    return after[0] if after and after[0] in tokenizer.added_tokens_decoder else end


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False, verbose=False))
