"""Write the sample data of each task: the files beside this module, and tiny models for texts."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from pathlib import Path

from seqtune.contracts.errors import ConfigurationError
from seqtune.contracts.seeds import derive_seed

from .._scratch import scratch_folder
from .params import SampleParameters

FILES = Path(__file__).parent / "files"
RECOMMEND = ("interactions.csv.gz", "genre.csv", "director.csv", "writer.csv", "title.csv")
CLASSIFY = ("texts.tsv", "models/electra", "models/bert", "models/roberta")
SUMMARIZE = ("dialogues.jsonl", "models/kobart", "models/llama")


def write_sample(parameters: SampleParameters, scratch: Path) -> tuple[Path, ...]:
    """Interactions, genres, directors, writers and titles, as a user would bring them."""
    return _write(parameters, scratch, "sample", FILES / "recommend", RECOMMEND)


def write_classify_sample(parameters: SampleParameters, scratch: Path) -> tuple[Path, ...]:
    """Texts with labels, and folders of tiny encoders."""
    return _write(parameters, scratch, "classify.sample", FILES / "classify", CLASSIFY)


def write_summarize_sample(parameters: SampleParameters, scratch: Path) -> tuple[Path, ...]:
    """Dialogues with summaries, and folders of tiny models that write."""
    return _write(parameters, scratch, "summarize.sample", FILES / "summarize", SUMMARIZE)


def _write(
    parameters: SampleParameters, scratch: Path, pipeline: str, folder: Path, names: Sequence[str]
) -> tuple[Path, ...]:
    if not parameters.enabled:
        raise ConfigurationError(
            "sample.enabled=false: sample data is written in its own environment only, so that "
            f"it never replaces files of yours; run `kedro run --pipeline {pipeline} --env sample`"
        )
    with scratch_folder(scratch, "sample") as out:
        sources = [folder / name for name in names]
        return tuple((_build_model if s.is_dir() else _copy_file)(s, out) for s in sources)


def _copy_file(source: Path, out: Path) -> Path:
    target = out / source.name.removesuffix(".gz")
    is_packed = source.suffix == ".gz"
    with gzip.open(source) if is_packed else source.open("rb") as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy)
    return target


def _build_model(source: Path, out: Path) -> Path:
    """A folder as `save_pretrained` writes it: a given tokeniser, and random weights."""
    import torch
    import transformers

    from seqtune.text.pretrained import load_config

    target = Path(shutil.copytree(source, out / source.name))
    config = load_config(source)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(42, "sample", source.name))
        getattr(transformers, config.architectures[0])(config).save_pretrained(target)
    return target
