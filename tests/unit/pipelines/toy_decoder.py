"""A task that measures trained weights under what training never reads."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from toy_task import ToyData, toy_spec

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import OnlyIf, RunConfig, Section
from seqtune.core.parameters import ParameterParser, TaskParameters
from seqtune.core.task import TaskSpec

QUICK = {"epochs": 2, "batch_size": 8, "precision": "fp32", "accelerator": "cpu", "num_threads": 1}


class Decoding(Section):
    beams: int = 1
    is_sampled: bool = False
    temperature: Annotated[float, OnlyIf("is_sampled", (True,))] = 1.0


class DecoderConfig(RunConfig):
    task: str = "toy"
    decoding: Decoding = Decoding()


@dataclass
class DecoderData(ToyData):
    made_with: dict[str, Any] = field(default_factory=dict)


def parameters(**training: Any) -> TaskParameters:
    parse = ParameterParser("toy", DecoderConfig, Section)
    return parse(values={"training": {**QUICK, **training}}, runtime={}, origins={})


def measure(checkpoint: Path, data: ToyData, config: DecoderConfig) -> dict[str, float]:
    """Of the weights, and of what is read."""
    weights = load_file(open_checkpoint(checkpoint).weights_path("best"))
    size = sum(float(tensor.double().abs().sum()) for tensor in weights.values())
    warmth = config.decoding.temperature if config.decoding.is_sampled else 0.0
    return {"decoded_score": size * config.decoding.beams + warmth}


def decoder_task(split: Path) -> TaskSpec:
    """`split` is a folder; in `events` there, each training step leaves a line."""
    spec = toy_spec(ToyData())
    return replace(
        spec,
        open_data=lambda path: DecoderData(events=Path(path) / "events"),
        estimate_memory=lambda config, data: 1.0,
        measure=measure,
        after_training=("decoding",),
    )


def num_epochs_trained(split: Path) -> int:
    """Beginnings of epochs, those of dry runs among them."""
    file = split / "events"
    lines = file.read_text().splitlines() if file.exists() else []
    return sum(line.endswith(" 0") for line in lines)


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(open_checkpoint(checkpoint).weights_path("best"))
