"""What a causal model is asked, as tokens: in front of the dialogue, and behind it.

With a chat template: one turn of the user (the instruction, an empty line, the dialogue) and the
beginning of the answer. Without one: the same, with "Summary:" on a line of its own behind it. Only
the dialogue is ever cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FALLBACK = "{instruction}\n\n{dialogue}\n\nSummary:\n"
_DIALOGUE = "<<<dialogue>>>"
_ANSWER = "<<<answer>>>"
_SETTLED = {
    "enable_thinking": False,  # Qwen3: the answer follows at once
    "date_string": "26 Jul 2024",  # Llama 3: otherwise the date of the day, and every day another
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
        """Tokens that it takes itself."""
        return len(self.before) + len(self.after)


def prompt_of(tokenizer: Any, instruction: str) -> Prompt:
    """The tokens around each dialogue."""
    if not tokenizer.chat_template:
        text = FALLBACK.format(instruction=instruction, dialogue=_DIALOGUE)
        before, after = _halves(text, _DIALOGUE)
        return Prompt((*_beginning(tokenizer), *_ids(tokenizer, before)), _ids(tokenizer, after))
    turn = {"role": "user", "content": f"{instruction}\n\n{_DIALOGUE}"}
    text = tokenizer.apply_chat_template(
        [turn], tokenize=False, add_generation_prompt=True, **_SETTLED
    )
    before, after = _halves(text, _DIALOGUE)
    return Prompt(_ids(tokenizer, before), _ids(tokenizer, after))


def end_of_turn(tokenizer: Any) -> int:
    """The token that ends an answer: what the chat template puts there, else the tokeniser's own
    end of a text."""
    end: int = tokenizer.eos_token_id
    if not tokenizer.chat_template:
        return end
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _ANSWER}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, **_SETTLED)
    behind = _ids(tokenizer, _halves(text, _ANSWER)[1])
    is_token_of_its_own = bool(behind) and behind[0] in tokenizer.added_tokens_decoder
    return behind[0] if is_token_of_its_own else end


def _halves(text: str, mark: str) -> tuple[str, str]:
    before, _, after = text.partition(mark)
    return before, after


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False, verbose=False))


def _beginning(tokenizer: Any) -> tuple[int, ...]:
    """The token for the beginning of a text, where the tokeniser puts one."""
    ids = tokenizer.encode("a", verbose=False)
    return (ids[0],) if ids[0] == tokenizer.bos_token_id else ()
