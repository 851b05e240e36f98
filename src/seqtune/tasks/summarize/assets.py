"""What a checkpoint holds beside its weights, and the way back from both to a model.

tokenizer files    with the tokens that the data brought
config.json        of the architecture
base.json          with adapters: what they belong to
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtune.text.pretrained import empty_model, identity, load_config

from .model import (
    AUTO,
    HasMarks,
    Kind,
    adapted,
    fill,
    kind_of,
    open_tokenizer,
    plain_tokenizer,
    pretrained,
    source,
)
from .params import SummarizeConfig

BASE = "base.json"


def write_model_assets(directory: Path, config: SummarizeConfig, data: HasMarks) -> None:
    """Everything but the weights that a checkpoint needs to be used on its own."""
    folder = source(config)
    speech = open_tokenizer(config, data)
    architecture = load_config(folder)
    kind = kind_of(config, architecture)
    speech.tokenizer.save_pretrained(directory)
    if config.model.lora.enabled:
        base = {
            "name": config.model.name,
            "revision": config.model.revision or identity(folder),
            "tokens": speech.tokens,
            "num_rows": speech.num_rows,
        }
        text = json.dumps(base, indent=2, ensure_ascii=False)
        (directory / BASE).write_text(text + "\n", encoding="utf-8")
    architecture.architectures = [AUTO[kind]]
    rows = architecture.vocab_size
    architecture.vocab_size = (
        speech.num_rows if config.model.from_scratch else max(rows, speech.num_rows)
    )
    architecture.save_pretrained(directory)


def restored_model(
    assets: Path, config: SummarizeConfig, weights: Mapping[str, Tensor], *, device: str
) -> tuple[Any, Any, Kind]:
    """Model, tokeniser and kind of a checkpoint, from its assets and weights."""
    architecture = load_config(assets)
    kind = kind_of(config, architecture)
    tokenizer = plain_tokenizer(assets, kind)
    with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten
        if config.model.lora.enabled:
            model = _with_adapters(assets, config, kind, device=device)
        else:
            model = empty_model(AUTO[kind], architecture, dtype=torch.float32)
    fill(model, weights)
    return model, tokenizer, kind


def _with_adapters(assets: Path, config: SummarizeConfig, kind: Kind, *, device: str) -> Any:
    """The base that a checkpoint names, with adapters that wait for their weights."""
    base = json.loads((assets / BASE).read_text(encoding="utf-8"))
    named = config.model.model_copy(update={"name": base["name"], "revision": base["revision"]})
    config = config.model_copy(update={"model": named})
    model = pretrained(config, kind, source(config), device=device)
    if len(model.get_input_embeddings().weight) < base["num_rows"]:
        model.resize_token_embeddings(base["num_rows"], mean_resizing=False)
    return adapted(model, config, tokens=base["tokens"])
