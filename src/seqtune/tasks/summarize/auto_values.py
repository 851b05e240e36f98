"""Resolve the open values of a model's configuration; refuse what cannot be trained."""

from __future__ import annotations

from typing import Any

from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Resolved
from seqtune.text.pretrained import identity, load_config, require_match

from . import lora
from .data import SummarizeData
from .model import Kind, kind_of, plain_tokenizer, source
from .params import KINDS, SummarizeConfig
from .prompts import prompt_of


def resolve_auto(
    resolved: Resolved[SummarizeConfig], data: SummarizeData
) -> Resolved[SummarizeConfig]:
    """Fill in the model's revision and kind; refuse what cannot be built."""
    config = resolved.config
    if faults := [*lora.missing_libraries(config.model), *_contradictions(config, data)]:
        raise ConfigurationError(faults)
    folder = source(config)
    architecture = load_config(folder)
    kind = kind_of(config, architecture)
    tokenizer = plain_tokenizer(folder, kind)
    if not config.model.from_scratch:
        require_match(tokenizer, architecture, name=config.model.name)
    if faults := _lengths(config, kind, architecture, tokenizer):
        raise ConfigurationError(faults)
    if config.model.revision is None:
        resolved = resolved.replace(
            "model.revision", identity(folder), origin=f"what {folder} holds now"
        )
    if config.model.kind == "auto":
        resolved = resolved.replace("model.kind", kind, origin="auto: by the model's config.json")
    return resolved


def _contradictions(config: SummarizeConfig, data: SummarizeData) -> list[str]:
    faults = []
    if config.model.from_scratch and config.model.lora.enabled:
        faults.append(
            "summarize.model.from_scratch=true with lora.enabled=true would train adapters on "
            "random weights that never change; set one of them to false"
        )
    asked = config.preprocess.augmentation
    if asked != "both" and len(data.taken(asked)) < len(KINDS[asked]):
        faults.append(
            f"summarize.preprocess.augmentation={asked}: the split {data.path} holds no rows made "
            f"by {asked} (it holds {' and '.join(data.made_up) or 'none that were made up'}). Set "
            f"summarize.split.augmentation={asked} or both, with the models that it needs, and run "
            "split again; or choose none, or both for whatever was made"
        )
    return faults


def _lengths(config: SummarizeConfig, kind: Kind, architecture: Any, tokenizer: Any) -> list[str]:
    """Return faults of the length limits: above the model's positions, or below the prompt."""
    wanted, target = config.preprocess.max_input_length, config.preprocess.max_target_length
    positions = getattr(architecture, "max_position_embeddings", None)
    faults = []
    if kind == "causal":
        own = prompt_of(tokenizer, config.model).length
        if own >= wanted:
            faults.append(
                f"summarize.preprocess.max_input_length={wanted} leaves no room for a dialogue: "
                f"the prompt alone takes {own} tokens; choose more than {own}"
            )
        needed = {"max_input_length + max_target_length": wanted + target}
    else:
        needed = {"max_input_length": wanted, "max_target_length": target}
    faults += [
        f"summarize.preprocess.{name}={length} is more than {config.model.name} has positions for "
        f"({positions}); choose at most {positions}"
        for name, length in needed.items()
        if positions is not None and length > positions
    ]
    return faults
