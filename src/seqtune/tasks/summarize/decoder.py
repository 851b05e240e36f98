"""Generate texts with every setting given explicitly.

The model folder's generation settings are ignored (KoBART's force `<usr>` at the end). A causal
model's prompt does not count as repetition. With `do_sample`, seed and batch determine the draws.
Shapes: B batch, T time (of the input), W tokens written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtune.batching import is_sharded
from seqtune.core.seeds import derive_seed

from .params import GenerationConfig
from .stop_strings import StopStrings, before_stop, has_stop

Int64 = npt.NDArray[np.int64]
CAUSAL = "causal"


@dataclass(frozen=True)
class DecoderBatch:
    """Inputs of some rows, padded to the longest of them."""

    rows: Int64
    ids: Tensor  # [B, T]
    mask: Tensor  # [B, T]
    encoded: Tensor | None = None  # [B, T, hidden]


def make_batches(
    inputs: Sequence[Sequence[int]], *, pad: int, size: int, kind: str, device: Any
) -> list[DecoderBatch]:
    """Make batches by length, longest first, so that out-of-memory errors appear immediately."""
    order = np.argsort([-len(one) for one in inputs], kind="stable").astype(np.int64)
    return [
        _padded(inputs, order[start : start + size], pad=pad, left=kind == CAUSAL, device=device)
        for start in range(0, len(order), size)
    ]


@torch.no_grad()
def encode(model: Any, batch: DecoderBatch) -> Tensor:
    """Return the encoder outputs of a batch [B, T, hidden]."""
    encoder = model.get_encoder()
    hidden: Tensor = encoder(batch.ids, attention_mask=batch.mask, return_dict=True)[0]
    return hidden


@dataclass(frozen=True)
class Decoder:
    """A model with its tokeniser, end token and padding."""

    model: Any
    tokenizer: Any
    kind: str
    end: int
    pad: int

    @classmethod
    def of(cls, model: Any, tokenizer: Any, kind: str) -> Decoder:
        return cls(model, tokenizer, kind, int(tokenizer.eos_token_id), pad_of(tokenizer))

    @torch.no_grad()
    def tokens(self, batch: DecoderBatch, settings: GenerationConfig, *, seed: int) -> Tensor:
        """Generate tokens [B, W], without prompt and start token."""
        with _without_own_defaults(self.model), _seeded(settings, seed, batch.ids.device):
            tokens: Tensor = self.model.generate(
                **self._model_inputs(batch, settings),
                generation_config=self._generation_config(settings),
                synced_gpus=is_sharded(self.model),
            )
        return tokens[:, self._prompt_length(batch) :]

    def texts(self, tokens: Tensor, settings: GenerationConfig) -> list[str]:
        """Return the texts before their end, in one line each."""
        stops = settings.stop_strings
        return [" ".join(before_stop(text, stops).split()) for text in self._decoded(tokens)]

    def is_cut(self, tokens: Tensor, settings: GenerationConfig) -> npt.NDArray[np.bool_]:
        """Return a mask of the rows without an end."""
        ended = (tokens == self.end).any(dim=1).numpy(force=True)
        if not settings.stop_strings:
            return np.asarray(~ended)
        stopped = [has_stop(text, settings.stop_strings) for text in self._decoded(tokens)]
        return np.asarray(~(ended | np.array(stopped, np.bool_)))

    def _decoded(self, tokens: Tensor) -> list[str]:
        written = [list(takewhile(self.end.__ne__, row)) for row in tokens.tolist()]
        found: list[str] = self.tokenizer.batch_decode(
            written, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return found

    def _prompt_length(self, batch: DecoderBatch) -> int:
        return batch.ids.shape[1] if self.kind == CAUSAL else 1

    def _model_inputs(self, batch: DecoderBatch, settings: GenerationConfig) -> dict[str, Any]:
        from transformers.modeling_outputs import BaseModelOutput

        inputs: dict[str, Any] = {"attention_mask": batch.mask}
        if batch.encoded is None:
            inputs["input_ids"] = batch.ids
        else:  # wrapped anew: generate() repeats its content for the beams
            inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=batch.encoded)
        if settings.stop_strings:
            inputs["stopping_criteria"] = [
                StopStrings(self.tokenizer, settings.stop_strings, self._prompt_length(batch))
            ]
        if self.kind == CAUSAL:
            inputs["logits_processor"] = _repetition_processors(
                settings, self._prompt_length(batch)
            )
        return inputs

    def _generation_config(self, settings: GenerationConfig) -> Any:
        import transformers

        options: dict[str, Any] = {
            "max_new_tokens": settings.max_new_tokens,
            "min_new_tokens": settings.min_new_tokens or None,
            "num_beams": settings.beams,
            "num_return_sequences": 1,
            "do_sample": settings.do_sample,
            "eos_token_id": self.end,
            "pad_token_id": self.pad,
        }
        if settings.do_sample:
            options |= {name: getattr(settings, name) for name in ("temperature", "top_p", "top_k")}
        if settings.beams > 1:
            options |= {"length_penalty": settings.length_penalty, "early_stopping": False}
        if self.kind != CAUSAL:
            options |= {
                "decoder_start_token_id": _start_of(self.model),
                "repetition_penalty": settings.repetition_penalty,
                "no_repeat_ngram_size": settings.no_repeat_ngram_size,
            }
        config_class: Any = transformers.GenerationConfig
        return config_class(**options)


@dataclass(frozen=True)
class GeneratedTexts:
    """Generated texts, whether they are complete, and the time they took."""

    texts: list[str]
    is_cut: npt.NDArray[np.bool_]
    """Mask of the texts without an end at the limit of new tokens."""
    seconds_per_row: float
    """Median over batches; without an encoder that ran before."""


def greedy(max_new_tokens: int) -> GenerationConfig:
    """Return the settings that validations during training use."""
    return GenerationConfig(beams=1, max_new_tokens=max_new_tokens, no_repeat_ngram_size=0)


def write(
    model: Any,
    tokenizer: Any,
    ids: Tensor,  # [B, T]
    mask: Tensor,  # [B, T]
    settings: GenerationConfig,
    *,
    kind: str,
    seed: int = 0,
) -> list[str]:
    """Return a summary of each input [B]."""
    batch = DecoderBatch(np.arange(len(ids)), ids, mask)
    decoder = Decoder.of(model, tokenizer, kind)
    return decoder.texts(decoder.tokens(batch, settings, seed=seed), settings)


def write_all(
    model: Any,
    tokenizer: Any,
    batches: Sequence[DecoderBatch],
    settings: GenerationConfig,
    *,
    kind: str,
    seed: int = 0,
) -> GeneratedTexts:
    """Return one summary for each row of the batches, in the order of rows."""
    decoder = Decoder.of(model, tokenizer, kind)
    num_rows = sum(len(batch.rows) for batch in batches)
    texts, is_cut, seconds = [""] * num_rows, np.zeros(num_rows, np.bool_), []
    for number, batch in enumerate(batches):
        start = time.perf_counter()
        tokens = decoder.tokens(batch, settings, seed=derive_seed(seed, "write", number)).cpu()
        seconds.append((time.perf_counter() - start) / len(batch.rows))
        is_cut[batch.rows] = decoder.is_cut(tokens, settings)
        for row, text in zip(batch.rows, decoder.texts(tokens, settings), strict=True):
            texts[row] = text
    return GeneratedTexts(texts, is_cut, float(np.median(seconds)) if seconds else 0.0)


def _start_of(model: Any) -> int | None:
    found: int | None = getattr(model.config, "decoder_start_token_id", None)
    return model.generation_config.decoder_start_token_id if found is None else found


def pad_of(tokenizer: Any) -> int:
    """Return the tokeniser's padding token, or its end token if it has none."""
    pad = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if pad is None else pad)


def _padded(
    inputs: Sequence[Sequence[int]], rows: Int64, *, pad: int, left: bool, device: Any
) -> DecoderBatch:
    longest = max(1, *(len(inputs[row]) for row in rows), 1)
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for place, row in enumerate(rows):
        own = torch.tensor(inputs[row], dtype=torch.long)
        within = slice(longest - len(own), None) if left else slice(0, len(own))
        ids[place, within], mask[place, within] = own, 1
    return DecoderBatch(rows, ids.to(device), mask.to(device))


@dataclass(frozen=True)
class _WithoutPrompt:
    """Apply a processor of logits to the tokens after the prompt."""

    processor: Callable[[Tensor, Tensor], Tensor]
    started: int

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return self.processor(input_ids[:, self.started :], scores)


def _repetition_processors(settings: GenerationConfig, started: int) -> list[_WithoutPrompt]:
    from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

    found: list[Any] = []
    if settings.repetition_penalty != 1.0:
        found.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.no_repeat_ngram_size:
        found.append(NoRepeatNGramLogitsProcessor(settings.no_repeat_ngram_size))
    return [_WithoutPrompt(one, started) for one in found]


@contextmanager
def _without_own_defaults(model: Any) -> Iterator[None]:
    """Hide the model's own defaults, from which generate() would take missing settings."""
    import transformers

    config_class: Any = transformers.GenerationConfig
    own, model.generation_config = model.generation_config, config_class()
    try:
        yield
    finally:
        model.generation_config = own


@contextmanager
def _seeded(settings: GenerationConfig, seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generator, which generate() draws from, and restore it."""
    if not settings.do_sample:
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
