"""Nodes that write sample data: the files in a task's folder `sample`, and tiny text models."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.core.errors import ConfigurationError
from seqtune.core.seeds import derive_seed
from seqtune.core.task import TaskSpec

from .._scratch import scratch_folder

if TYPE_CHECKING:
    from seqtune.core.sample import SampleParameters


@dataclass(frozen=True)
class SampleNodes:
    task: TaskSpec

    def write(self, parameters: SampleParameters, scratch: Path) -> tuple[Path, ...]:
        """Write the files as a user would bring them."""
        assert self.task.sample_folder is not None  # noqa: S101
        if not parameters.enabled:
            raise ConfigurationError(
                "sample.enabled=false: sample data is written only in its own environment, so "
                "that it never replaces your own files; run "
                f"`kedro run --pipelines {self.task.name}.sample --env sample`"
            )
        with scratch_folder(scratch, "sample") as out:
            sources = [self.task.sample_folder / name for name in self.task.sample_files]
            return tuple((_build_model if s.is_dir() else _copy_file)(s, out) for s in sources)


def _copy_file(source: Path, out: Path) -> Path:
    target = out / source.name.removesuffix(".gz")
    is_packed = source.suffix == ".gz"
    with gzip.open(source) if is_packed else source.open("rb") as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy)
    return target


def _build_model(source: Path, out: Path) -> Path:
    """Write a folder as `save_pretrained` does: a given tokeniser, and random weights."""
    import torch
    import transformers

    from seqtune.text.pretrained import load_config

    target = Path(shutil.copytree(source, out / source.name))
    config = load_config(source)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(42, "sample", source.name))
        getattr(transformers, config.architectures[0])(config).save_pretrained(target)
    return target
