"""A pretrained encoder with a linear head: one logit for each label.

The head computes in fp32 whatever the precision: rounding would make ties among scores.

Shapes: B batch, T time, D hidden, L labels.
"""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqtune.text.pretrained import empty_model, load_config, load_model

from .data import model_folder
from .params import ModelConfig

AUTO = "AutoModel"
HEAD_STD = 0.02
LAYER = re.compile(r"\.layers?\.(\d+)\.")
"""The number of a layer in the name of a parameter."""


class TextClassifier(nn.Module):
    """A pretrained encoder, dropout and a head of one or two layers."""

    def __init__(self, encoder: Any, config: ModelConfig, *, num_labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        hidden = encoder.config.hidden_size
        units = config.head_units
        self.standardize = Standardize(hidden) if config.freeze_encoder else nn.Identity()
        self.dropout = nn.Dropout(config.dropout_rate)
        self.dense = _dense(hidden, units, config.dropout_rate) if units else nn.Identity()
        self.head = nn.Linear(units or hidden, num_labels)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)
        self.pad = int(encoder.config.pad_token_id or 0)
        """The padding token; RoBERTa derives positions from it."""
        self._pool = POOLINGS[config.pooling]
        self._is_frozen = config.freeze_encoder
        if config.freeze_embeddings:
            encoder.get_input_embeddings().requires_grad_(requires_grad=False)
        if self._is_frozen:
            self.encoder.requires_grad_(requires_grad=False)
        elif config.gradient_checkpointing:
            encoder.activation_checkpointing_enable({"use_reentrant": False})
        self.thresholds = torch.empty(0, dtype=torch.float64)
        """Of each label [L], tuned on valid with these weights; empty without a valid part."""
        self.train()  # from_pretrained returns models in eval mode, without dropout

    def get_extra_state(self) -> Tensor:
        """Save the thresholds with the weights; as a buffer, they would lose digits on a device
        without float64."""
        return self.thresholds

    def set_extra_state(self, state: Tensor) -> None:
        self.thresholds = state

    def train(self, mode: bool = True) -> TextClassifier:
        """Keep a frozen encoder in eval mode, so that the head trains on what inference sees."""
        super().train(mode)
        if self._is_frozen:
            self.encoder.eval()
        return self

    def depth_below_head(self, name: str) -> int:
        """Return how many layers lie between a parameter and the classes: the head 0, the highest
        layer of the encoder 1, its embeddings one more than its lowest."""
        if not name.startswith("encoder."):
            return 0
        layer = LAYER.search(name)
        if layer is None and "embed" not in name:  # a norm after the last layer
            return 1
        num_layers = int(self.encoder.config.num_hidden_layers)
        return num_layers - int(layer[1]) if layer else num_layers + 1

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        """Return logits fp32 [B, L] of tokens [B, T]; `real` [B, T] masks padding."""
        return self.classify(self.encode(ids, real))

    def encode(self, ids: Tensor, real: Tensor) -> Tensor:
        """Return the vectors fp32 [B, D] of tokens [B, T]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._is_frozen):
            found = self.encoder(input_ids=ids, attention_mask=real.long())
        return self._pool(found.last_hidden_state, real).float()

    def classify(self, vectors: Tensor) -> Tensor:
        """Return logits fp32 [B, L] of vectors [B, D]."""
        with torch.autocast(vectors.device.type, enabled=False):
            hidden = self.dense(self.dropout(self.standardize(vectors)))
            logits: Tensor = self.head(hidden)
        return logits


def _dense(hidden: int, units: int, dropout_rate: float) -> nn.Module:
    return nn.Sequential(nn.Linear(hidden, units), nn.GELU(), nn.Dropout(dropout_rate))


class Standardize(nn.Module):
    """Brings each dimension to mean 0 and variance 1 over the training texts: vectors of an encoder
    share a large part, behind which a head learns slowly."""

    mean: Tensor
    std: Tensor

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(hidden))
        self.register_buffer("std", torch.ones(hidden))

    def fit(self, vectors: Tensor) -> None:
        """Take mean and deviation from vectors [N, D]."""
        self.mean = vectors.mean(0)
        self.std = vectors.std(0, correction=0).clamp(min=1e-6)

    def forward(self, vectors: Tensor) -> Tensor:
        return (vectors - self.mean) / self.std


def first_token(hidden: Tensor, _real: Tensor) -> Tensor:
    """Return the first of the hidden states [B, T, D]: [B, D]."""
    return hidden[:, 0]


def mean_token(hidden: Tensor, real: Tensor) -> Tensor:
    """Return the mean of the hidden states [B, T, D] of real tokens [B, T]: [B, D]."""
    weights = real.unsqueeze(-1).float()  # [B, T, 1]
    return (hidden.float() * weights).sum(1) / weights.sum(1).clamp(min=1.0)


POOLINGS = {"first": first_token, "mean": mean_token}


def build_classifier(config: ModelConfig, *, num_labels: int) -> TextClassifier:
    """Build an untrained classifier; its encoder has pretrained weights, or random ones."""
    folder = model_folder(config)
    if config.from_scratch:
        encoder = empty_encoder(folder)
    else:
        options = _encoder_options(load_config(folder))
        encoder = load_model(AUTO, folder, allow_pickle=config.allow_pickle, **options)
    return TextClassifier(encoder, config, num_labels=num_labels)


def empty_encoder(folder: Path) -> Any:
    """Build an encoder with random weights, of the architecture that a folder describes."""
    described = load_config(folder)
    return empty_model(AUTO, described, dtype=torch.float32, **_encoder_options(described))


def outline(folder: Path) -> Any:
    """Build the encoder on the meta device: all shapes, no memory."""
    with torch.device("meta"):
        return empty_encoder(folder)


def num_positions(encoder: Any) -> int | None:
    """Return the number of tokens that an encoder has positions for; None: unlimited."""
    for name, part in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(part, nn.Embedding):
            # RoBERTa counts positions from its padding on
            unused = 0 if part.padding_idx is None else part.padding_idx + 1
            return part.num_embeddings - unused
    found = getattr(encoder.config, "max_position_embeddings", None)
    return None if found is None else int(found)


def _encoder_options(described: Any) -> dict[str, Any]:
    """Leave out the pooling layer, which is not used; use fused attention where available."""
    encoder_class = encoder_class_of(described)
    options: dict[str, Any] = {}
    if "add_pooling_layer" in signature(encoder_class.__init__).parameters:
        options["add_pooling_layer"] = False
    if encoder_class._supports_sdpa:
        options["attn_implementation"] = "sdpa"
    return options


def encoder_class_of(described: Any) -> Any:
    from transformers import MODEL_MAPPING

    return MODEL_MAPPING[type(described)]
