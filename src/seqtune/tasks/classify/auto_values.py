"""Resolve the open values of a model's configuration; refuse what cannot be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Resolved
from seqtune.text.pooling import pooling_of
from seqtune.text.pretrained import identity, load_config, load_tokenizer, require_match

from .data import NAME, ClassifyData, model_folder
from .model import encoder_class_of, num_positions, outline
from .params import ClassifyConfig, ModelConfig

LENGTH_QUANTILE = 0.99
"""Share of the training texts that max_length=auto leaves whole."""
LONGEST = 8192
SHORTEST = 4


def resolve_auto(
    resolved: Resolved[ClassifyConfig], data: ClassifyData
) -> Resolved[ClassifyConfig]:
    """Pin the model's revision; fill in pooling and length; refuse settings that the model does not
    support."""
    model = resolved.config.model
    folder = model_folder(model)
    described = load_config(folder)
    _require_encoder(described, model.name)
    limit = num_positions(outline(folder))
    if faults := _find_unsupported(described, model, limit):
        raise ConfigurationError(faults)
    require_match(load_tokenizer(folder), described, name=model.name)
    if model.revision is None:
        found = identity(folder)
        resolved = resolved.replace("model.revision", found, origin=f"content of {model.name} now")
    if model.pooling == "auto":
        pooling, file = pooling_of(folder)
        resolved = resolved.replace("model.pooling", pooling, origin=f"auto: by the model's {file}")
    if model.max_length == "auto":
        length = _enough_length(data, folder, limit)
        origin = f"auto: {LENGTH_QUANTILE:.0%} of the training texts are no longer"
        resolved = resolved.replace("model.max_length", length, origin=origin)
    return resolved


def _enough_length(data: ClassifyData, folder: Path, limit: int | None) -> int:
    """Return the tokens that LENGTH_QUANTILE of the training texts have at most."""
    longest = min(limit or LONGEST, LONGEST)
    tokens = data.tokens_by(
        lambda: load_tokenizer(folder), "train", identity(folder), limit=longest
    )
    wanted = int(np.ceil(np.quantile(tokens.full_lengths, LENGTH_QUANTILE)))
    return min(max(wanted, SHORTEST), longest)


def _require_encoder(described: Any, name: str) -> None:
    from transformers import MODEL_FOR_MASKED_LM_MAPPING, MODEL_MAPPING

    kind = type(described)
    fits = kind in MODEL_FOR_MASKED_LM_MAPPING and kind in MODEL_MAPPING
    if not fits or described.is_encoder_decoder:
        raise ConfigurationError(
            f"{NAME}={name!r} has the type {described.model_type!r}, which is not a bidirectional "
            "encoder; choose one like BERT, ELECTRA or RoBERTa"
        )


def _find_unsupported(described: Any, config: ModelConfig, limit: int | None) -> list[str]:
    faults = []
    wanted = config.max_length
    if limit is not None and wanted != "auto" and wanted > limit:
        faults.append(
            f"classify.model.max_length={wanted}, but {config.name} has positions for "
            f"{limit} tokens; choose at most {limit}"
        )
    encoder_class = encoder_class_of(described)
    checkpoints = config.gradient_checkpointing and not config.freeze_encoder
    if checkpoints and not encoder_class.supports_gradient_checkpointing:
        faults.append(
            "classify.model.gradient_checkpointing=true has no effect on "
            f"{encoder_class.__name__} ({config.name}); set it to false"
        )
    return faults
