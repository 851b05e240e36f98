"""Decide labels of texts, as `predict` of seqtune does.

Shapes: B texts, T time, L labels.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .exports import Export, ExportError
from .graphs import Floats, Graph, open_graphs

TOKENIZER = "tokenizer.json"
LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")


@dataclass(frozen=True)
class TextRequest:
    """One text to label."""

    text: str
    only_given: bool = False
    """Leave out the labels that are not given."""


@dataclass(frozen=True)
class Encoder:
    """The tokeniser of a member."""

    tokenizer: Any
    limit: int
    num_closing: int
    """Special tokens at the end, which cutting keeps."""
    control: frozenset[int]
    """Control tokens, which a text cannot contain."""
    pad: int

    @classmethod
    def open(cls, export: Export, name: str) -> Encoder:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ExportError(
                "classifying texts needs tokenizers: pip install 'seqtune-serve[text]'"
            ) from error
        tokenizer = Tokenizer.from_file(str(export.folder(name) / TOKENIZER))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        settings = dict(export.members[name]["encoder"])
        return cls(tokenizer, control=frozenset(settings.pop("control")), **settings)

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts, special ones included, cut to the limit."""
        return [self._cut(encoding) for encoding in self.tokenizer.encode_batch(list(texts))]

    def _cut(self, encoding: Any) -> list[int]:
        marked = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
        ids = [token for token, added in marked if added or token not in self.control]
        if len(ids) <= self.limit:
            return ids
        kept = self.limit - self.num_closing
        return [*ids[:kept], *ids[len(ids) - self.num_closing :]]


@dataclass(frozen=True)
class ClassifyModel:
    """The members of an export, in memory."""

    export: Export
    graphs: Mapping[str, Graph]
    encoders: Mapping[str, Encoder]

    path = "/classify"

    @classmethod
    def open(cls, export: Export, *, precision: str, num_threads: int) -> ClassifyModel:
        encoders = {name: Encoder.open(export, name) for name in export.members}
        return cls(export, open_graphs(export, precision, num_threads=num_threads), encoders)

    def example(self) -> TextRequest:
        return TextRequest("a text")

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return the probability of each label [B, L]."""
        cleaned = [clean(text, self.export.settings["max_characters"]) for text in texts]
        as_logits = self.export.manifest["scale"] == "logits"
        total: Floats = np.zeros(1)
        whole = sum(member["share"] for member in self.export.members.values())
        for name, member in self.export.members.items():
            logits = self._logits(name, cleaned)
            scaled = logits if as_logits else _logistic(logits)
            total = total + member["share"] / whole * scaled
        return _logistic(total) if as_logits else np.minimum(total, 1.0)

    def answer(self, requests: Sequence[TextRequest]) -> list[dict[str, Any]]:
        """Return the labels of each text; the network runs once for all."""
        found = self.probabilities([request.text for request in requests])
        return [self._labels(request, p) for request, p in zip(requests, found, strict=True)]

    def _logits(self, name: str, texts: Sequence[str]) -> Floats:
        encoder = self.encoders[name]
        tokens = encoder(texts)
        shape = (len(tokens), max(1, *map(len, tokens)))
        ids, real = np.full(shape, encoder.pad, np.int64), np.zeros(shape, np.int64)
        for row, own in enumerate(tokens):
            ids[row, : len(own)], real[row, : len(own)] = own, 1
        return self.graphs[name]("logits", ids=ids, real=real).astype(np.float64)

    def _labels(self, request: TextRequest, probabilities: Floats) -> dict[str, Any]:
        """Return the labels of a text, most probable first."""
        labels, thresholds = self.export.settings["labels"], self.export.settings["thresholds"]
        lines = [
            {
                "label": labels[n],
                "probability": float(probabilities[n]),
                "threshold": thresholds[n],
                "given": bool(probabilities[n] >= thresholds[n]),
            }
            for n in np.argsort(-probabilities, kind="stable")
        ]
        return {"labels": [line for line in lines if line["given"] or not request.only_given]}


def clean(text: str, max_characters: int) -> str:
    """Normalise a text as seqtune does when it reads texts."""
    text = CONTROL.sub("", LINE_END.sub("\n", text))
    return unicodedata.normalize("NFC", text).strip()[:max_characters].rstrip()


def _logistic(logits: Floats) -> Floats:
    decay = np.exp(-np.abs(logits))
    probabilities: Floats = np.where(logits >= 0, 1.0, decay) / (1.0 + decay)
    return probabilities
