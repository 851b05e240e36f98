"""Tokenise dialogues and summaries; cached by model, part and preprocessing.

The first reference is the target. Train holds the augmented rows that `preprocess.augmentation`
selects. Too many truncated dialogues stop a training.
Shapes: R rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtune.core.errors import InfeasibleError
from seqtune.text.pretrained import identity, load_config
from seqtune.text.split import Part
from seqtune.text.tokens import Tokens, audit, cut_ids, encoder_of, num_closing, write_tokens

from .data import SummarizeData
from .model import Kind, kind_of, open_tokenizer, source
from .params import ModelConfig, PreprocessConfig, SummarizeConfig
from .preprocess import clean, clean_summary
from .prompts import prompt_of

INPUTS, TARGETS = "inputs", "targets"
TRUNCATION = "truncation"
"""Name of the constraint."""


@dataclass(frozen=True)
class Encoder:
    """Tokenise inputs and targets."""

    tokenizer: Any
    kind: Kind
    preprocess: PreprocessConfig
    model: ModelConfig

    def inputs(self, dialogues: Sequence[str]) -> tuple[list[list[int]], int]:
        """Return tokens of dialogues before cutting, and how many of the last are never cut."""
        texts = [clean(dialogue, self.preprocess) for dialogue in dialogues]
        if self.kind == "causal":
            prompt = prompt_of(self.tokenizer, self.model)
            plain = encoder_of(self.tokenizer, add_special_tokens=False)(texts) if texts else []
            return [prompt.around(ids) for ids in plain], len(prompt.after)
        found = encoder_of(self.tokenizer)(texts) if texts else []
        end = self.tokenizer.eos_token_id  # a dialogue needs at least one token
        return [list(ids) or [end] for ids in found], num_closing(self.tokenizer)

    def fitting(self, dialogues: Sequence[str]) -> list[list[int]]:
        """Return tokens of dialogues, cut to `max_input_length`."""
        limit = self.preprocess.max_input_length
        full, last = self.inputs(dialogues)
        return [[*cut_ids(ids, limit, last)] for ids in full]

    def targets(self, summaries: Sequence[str]) -> list[list[int]]:
        """Return tokens of summaries, each with its end."""
        texts = [clean_summary(summary, self.preprocess) for summary in summaries]
        if not texts:
            return []
        end = self.tokenizer.eos_token_id
        found = encoder_of(self.tokenizer, add_special_tokens=self.kind == "seq2seq")(texts)
        return [[*ids] if ids and ids[-1] == end else [*ids, end] for ids in found]


def encoder(config: SummarizeConfig, tokenizer: Any, kind: Kind) -> Encoder:
    return Encoder(tokenizer, kind, config.preprocess, config.model)


class Pairs(NamedTuple):
    """A part, tokenised."""

    inputs: Tokens
    targets: Tokens

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of input and target together [R]."""
        return self.inputs.lengths + self.targets.lengths


def pairs(config: SummarizeConfig, data: SummarizeData, part: Part) -> Pairs:
    """Return the tokens of a part, cached with the split."""
    key = _key(config, data, part)
    folder = data.made("tokens", key, lambda out: _write_pairs(out, config, data, part))
    return Pairs(*(Tokens.open(folder / name) for name in (INPUTS, TARGETS)))


def truncation(config: SummarizeConfig, data: SummarizeData) -> dict[Part, dict[str, Any]]:
    """Return how many dialogues do not fit, by part; JSON-ready."""
    limit = config.preprocess.max_input_length
    parts: tuple[Part, ...] = ("train", "valid")
    return {
        part: audit(np.asarray(pairs(config, data, part).inputs.full_lengths), limit)
        for part in parts
        if data.num_rows(part)
    }


def require_fit(config: SummarizeConfig, data: SummarizeData) -> None:
    """Refuse to train if too many dialogues would be cut."""
    allowed = config.preprocess.max_truncated_share
    for part, found in truncation(config, data).items():
        if found["share"] > allowed:
            lengths = np.asarray(pairs(config, data, part).inputs.full_lengths)
            fits = int(np.quantile(lengths, 1.0 - allowed, method="higher"))
            raise InfeasibleError(
                f"{found['share']:.1%} of the dialogues in {part} ({found['longer']} of "
                f"{found['texts']}) do not fit into summarize.preprocess.max_input_length="
                f"{found['limit']} tokens and would be cut; allowed are {allowed:.1%} "
                "(summarize.preprocess.max_truncated_share). Lengths: "
                f"p95 {found['lengths']['p95']:.0f}, p99 {found['lengths']['p99']:.0f}, longest "
                f"{found['lengths']['max']:.0f}. max_input_length={fits} would do",
                constraint=TRUNCATION,
                violation=found["share"] - allowed,
            )


def _write_pairs(out: Path, config: SummarizeConfig, data: SummarizeData, part: Part) -> None:
    kind = kind_of(config, load_config(source(config)))
    speech = encoder(config, open_tokenizer(config, data).tokenizer, kind)
    preprocess = config.preprocess
    for name in (INPUTS, TARGETS):
        (out / name).mkdir()
    write_tokens(
        out / INPUTS,
        data.dialogues(part, augmentation=preprocess.augmentation),
        lambda texts: speech.inputs(texts)[0],
        limit=preprocess.max_input_length,
        keep_last=speech.inputs([])[1],
    )
    write_tokens(
        out / TARGETS,
        [own[0] for own in data.references(part, augmentation=preprocess.augmentation)],
        speech.targets,
        limit=preprocess.max_target_length,
    )


def _key(config: SummarizeConfig, data: SummarizeData, part: Part) -> Mapping[str, Any]:
    folder = source(config)
    kind = kind_of(config, load_config(folder))
    preprocess = config.preprocess
    return {
        "model": config.model.revision or identity(folder),
        "part": part,
        "kind": kind,
        "instruction": config.model.instruction if kind == "causal" else None,
        "prompt_template": config.model.prompt_template if kind == "causal" else None,
        "max_input_length": preprocess.max_input_length,
        "max_target_length": preprocess.max_target_length,
        "noise_removal": preprocess.noise_removal,
        "person_tokens": preprocess.person_tokens,
        "special_tokens": preprocess.special_tokens,
        "augmentation": data.taken(preprocess.augmentation),
    }
