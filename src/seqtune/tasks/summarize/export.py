"""Export a checkpoint in the layouts of other libraries.

    python -m seqtune.tasks.summarize.export CHECKPOINT FOLDER            adapter, for peft and vLLM
    python -m seqtune.tasks.summarize.export CHECKPOINT FOLDER --merged   model, for transformers

An adapter is a few MB beside a base that is loaded by its name, which is not needed to export it.
peft loads every adapter; if the data added tokens, after the base is resized to the tokeniser
beside it. vLLM takes neither such tokens nor DoRA: merge these.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from seqtune.core.checkpoint import Which
from seqtune.core.errors import ConfigurationError, SeqtuneError, StorageError
from seqtune.core.files import make_folder, publish, reset_permissions
from seqtune.inference import CheckpointInfo, read_weights
from seqtune.text.pretrained import COMMIT, load_config

from . import lora
from .model import (
    Kind,
    base_with_adapters,
    fill,
    kind_of,
    plain_tokenizer,
    read_base,
    restored_model,
    source,
)
from .params import SummarizeConfig
from .scorer import describe

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
TASK_TYPES: dict[Kind, str] = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}
_OURS = re.compile(r"(?P<layer>.+)\.(?P<part>lora_\w+|token_adapter\.\w+)\.default(?P<rest>.*)")


def export_adapter(checkpoint: Path, out: Path, *, which: Which = "best") -> Path:
    """Write the adapters of a checkpoint as peft's `save_pretrained` would, and the tokeniser."""
    info = describe(checkpoint, which)
    if not info.config.model.lora.enabled:
        raise ConfigurationError(
            f"checkpoint {checkpoint} has no adapters (it was trained with "
            "summarize.model.lora.enabled=false); export the model: --merged"
        )
    return _published(out, partial(_write_adapter, info))


def export_merged(checkpoint: Path, out: Path, *, which: Which = "best") -> Path:
    """Write the model of a checkpoint, adapters merged into its base, with the tokeniser.

    Adapters are merged in fp32 into a base that is not quantised, and saved in the base's type.
    """
    return _published(out, partial(_write_merged, describe(checkpoint, which)))


def _write_adapter(info: CheckpointInfo[SummarizeConfig], folder: Path) -> None:
    kind = kind_of(info.config, load_config(info.assets))
    base = read_base(info.assets)
    weights = read_weights(info.checkpoint, info.which)
    found = [_OURS.fullmatch(name) for name in weights]
    names = [match for match in found if match is not None]
    tokens = {m["layer"]: base["tokens"] for m in names if m["part"].startswith("token_adapter")}
    is_local = Path(base["name"]).expanduser().exists()
    settings = lora.peft_config(
        info.config.model.lora,
        targets=sorted({m["layer"].rpartition(".")[2] for m in names if m["part"] == "lora_A"}),
        rows=tokens or None,
        task_type=TASK_TYPES[kind],
        inference_mode=True,
        base_model_name_or_path=str(Path(base["name"]).absolute()) if is_local else base["name"],
        revision=base["revision"] if COMMIT.fullmatch(base["revision"]) and not is_local else None,
    )
    settings.save_pretrained(folder)
    save_file(
        {peft_name(name): tensor.contiguous() for name, tensor in weights.items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    plain_tokenizer(info.assets, kind).save_pretrained(folder)


def peft_name(name: str) -> str:
    """Return the name that a tensor of a checkpoint has in a file of peft."""
    found = _OURS.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no tensor of an adapter")
    # the vector of DoRA stands there without the name of its parameter
    rest = "" if found["part"] == "lora_magnitude_vector" else found["rest"]
    return f"{PREFIX}{found['layer']}.{found['part']}{rest}"


def _write_merged(info: CheckpointInfo[SummarizeConfig], folder: Path) -> None:
    weights = read_weights(info.checkpoint, info.which)
    model, tokenizer = _whole(info, weights)
    config_class: Any = type(model.generation_config)
    model.generation_config = config_class(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None),
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _whole(info: CheckpointInfo[SummarizeConfig], weights: Any) -> tuple[Any, Any]:
    """Return the model of a checkpoint without adapters, and its tokeniser."""
    if not info.config.model.lora.enabled:
        model, tokenizer, _ = restored_model(info.assets, info.config, weights, device="cpu")
        return model, tokenizer
    config = _unquantised(info.config)
    kind = kind_of(config, load_config(info.assets))
    model = base_with_adapters(info.assets, config, kind, device="cpu")
    fill(model.get_base_model(), weights)
    own = load_config(source(config)).dtype or torch.float32
    return model.merge_and_unload().to(own), plain_tokenizer(info.assets, kind)


def _unquantised(config: SummarizeConfig) -> SummarizeConfig:
    model = config.model.model_copy(update={"quantisation": "none"})
    training = config.training.model_copy(update={"precision": "fp32"})
    return config.model_copy(update={"model": model, "training": training})


def _published(out: Path, write: Callable[[Path], None]) -> Path:
    """Write a folder beside its place and rename it, so that it is complete if it is there."""
    if out.exists():
        raise StorageError(f"{out} exists already; remove it, or choose another folder")
    make_folder(out.absolute().parent)
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}-") as scratch:
        made = Path(scratch) / out.name
        made.mkdir()
        write(made)
        for weights in made.glob("*.safetensors"):
            reset_permissions(weights)
        publish(made, out.absolute())
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("checkpoint", type=Path, help="the folder of a version")
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--merged", action="store_true", help="one model instead of an adapter")
    parser.add_argument("--weights", choices=("best", "last"), default="best")
    given = parser.parse_args(arguments)
    export = export_merged if given.merged else export_adapter
    try:
        print(f"{export(given.checkpoint, given.folder, which=given.weights)} is written")
    except SeqtuneError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
