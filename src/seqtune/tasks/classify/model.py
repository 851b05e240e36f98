"""A pretrained encoder with a linear head: one logit for each label.

The head computes in fp32 whatever the precision: rounding would make ties among scores.

Shapes: B batch, T time, D hidden, L labels.
"""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Resolved
from seqtune.text.pretrained import (
    empty_model,
    identity,
    load_config,
    load_model,
    load_tokenizer,
    require_match,
)

from .data import NAME, model_folder
from .params import ClassifyConfig, ModelConfig

AUTO = "AutoModel"
HEAD_STD = 0.02


class TextClassifier(nn.Module):
    """A pretrained encoder, dropout and a linear head."""

    def __init__(self, encoder: Any, config: ModelConfig, *, num_labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(config.dropout_rate)
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)
        self.pad = int(encoder.config.pad_token_id or 0)
        """The padding token; RoBERTa derives positions from it."""
        self._pooling = config.pooling
        self._is_frozen = config.freeze_encoder
        if self._is_frozen:
            self.encoder.requires_grad_(requires_grad=False)
        elif config.gradient_checkpointing:
            encoder.activation_checkpointing_enable({"use_reentrant": False})
        self.train()  # from_pretrained returns models in eval mode, without dropout

    def train(self, mode: bool = True) -> TextClassifier:
        """Keep a frozen encoder in eval mode, so that the head trains on what inference sees."""
        super().train(mode)
        if self._is_frozen:
            self.encoder.eval()
        return self

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        """Return logits fp32 [B, L] of tokens [B, T]; `real` [B, T] masks padding."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._is_frozen):
            found = self.encoder(input_ids=ids, attention_mask=real.long())
        pooled = _pooled(found.last_hidden_state, real, self._pooling)  # [B, D]
        with torch.autocast(pooled.device.type, enabled=False):
            logits: Tensor = self.head(self.dropout(pooled.float()))
        return logits


def _pooled(hidden: Tensor, real: Tensor, pooling: str) -> Tensor:
    """Pool hidden states [B, T, D] to text vectors [B, D]."""
    if pooling == "first":
        return hidden[:, 0]
    weights = real.unsqueeze(-1).float()  # [B, T, 1]
    return (hidden.float() * weights).sum(1) / weights.sum(1).clamp(min=1.0)


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


def resolve_auto(resolved: Resolved[ClassifyConfig], _data: Any) -> Resolved[ClassifyConfig]:
    """Pin the model's revision; refuse settings that the model does not support."""
    model = resolved.config.model
    folder = model_folder(model)
    described = load_config(folder)
    _require_encoder(described, model.name)
    if faults := _find_unsupported(folder, described, model):
        raise ConfigurationError(faults)
    require_match(load_tokenizer(folder), described, name=model.name)
    if model.revision is None:
        found = identity(folder)
        resolved = resolved.replace("model.revision", found, origin=f"content of {model.name} now")
    return resolved


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
    encoder_class = _class_of(described)
    options: dict[str, Any] = {}
    if "add_pooling_layer" in signature(encoder_class.__init__).parameters:
        options["add_pooling_layer"] = False
    if encoder_class._supports_sdpa:
        options["attn_implementation"] = "sdpa"
    return options


def _require_encoder(described: Any, name: str) -> None:
    from transformers import MODEL_FOR_MASKED_LM_MAPPING, MODEL_MAPPING

    kind = type(described)
    fits = kind in MODEL_FOR_MASKED_LM_MAPPING and kind in MODEL_MAPPING
    if not fits or described.is_encoder_decoder:
        raise ConfigurationError(
            f"{NAME}={name!r} has the type {described.model_type!r}, which is not a bidirectional "
            "encoder; choose one like BERT, ELECTRA or RoBERTa"
        )


def _find_unsupported(folder: Path, described: Any, config: ModelConfig) -> list[str]:
    faults = []
    limit = num_positions(outline(folder))
    if limit is not None and config.max_length > limit:
        faults.append(
            f"classify.model.max_length={config.max_length}, but {config.name} has positions for "
            f"{limit} tokens; choose at most {limit}"
        )
    encoder_class = _class_of(described)
    checkpoints = config.gradient_checkpointing and not config.freeze_encoder
    if checkpoints and not encoder_class.supports_gradient_checkpointing:
        faults.append(
            "classify.model.gradient_checkpointing=true has no effect on "
            f"{encoder_class.__name__} ({config.name}); set it to false"
        )
    return faults


def _class_of(described: Any) -> Any:
    from transformers import MODEL_MAPPING

    return MODEL_MAPPING[type(described)]
