"""Each task once, on a few rows of its own: read, split, and trained for two epochs."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from seqtune.core.config import RunConfig, fingerprint
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Resolved
from seqtune.core.task import Report, TaskSpec, TrainingData

EXAMPLES = Path(__file__).parent / "examples"
QUICK = {"epochs": 2, "precision": "fp32", "accelerator": "cpu", "num_threads": 1}


@dataclass
class Prepared:
    """A task with everything that the stages before training have made for it."""

    task: TaskSpec
    folder: Path
    """Raw files, and pretrained models beside them."""
    example: Any = field(repr=False)

    def parameters(self, **training: Any) -> TaskParameters:
        values = dict(self.example.values(self.folder))
        values["training"] = {**values.get("training", {}), **QUICK, **training}
        return self.task.parse_parameters(values=values, runtime={}, origins={})

    def made(self, name: str, *, other: bool = False) -> tuple[TrainingData, list[Report]]:
        """The split in a fresh folder, and the reports of ingest and split."""
        raw = self.folder / f"{name}-raw"
        raw.mkdir()
        sources = self.example.write(raw, other=other)
        config = self.parameters().resolve().config
        folders = [self.folder / f"{name}-{stage}" for stage in ("ingest", "split")]
        for folder in folders:
            folder.mkdir()
        reports = [self.task.ingest(sources, config, out=folders[0])]
        reports.append(self.task.split(folders[0], config, out=folders[1]))
        return self.task.open_data(folders[1]), reports

    @cached_property
    def first(self) -> tuple[TrainingData, list[Report]]:
        return self.made("first")

    @property
    def data(self) -> TrainingData:
        return self.first[0]

    def resolved(self, *, seed: int | None = None, **training: Any) -> Resolved[Any]:
        from seqtune.pipelines._resolution import resolve_run

        resolved = resolve_run(self.task, self.parameters(**training), self.data)
        return resolved if seed is None else resolved.replace("seed", seed, origin="test")

    def fit(
        self,
        name: str,
        *,
        config: RunConfig | None = None,
        report: Any = None,
        keep_state: bool = False,
    ) -> Path:
        from seqtune.training import fit
        from seqtune.training.fit import no_report

        config = config or self.resolved().config
        return fit(
            self.task,
            config,
            self.data,
            directory=self.folder / name,
            fingerprint=fingerprint(config, data_hash=self.data.content_hash),
            report=report or no_report,
            progress=False,
            keep_state=keep_state,
        ).checkpoint

    @cached_property
    def checkpoint(self) -> Path:
        return self.fit("trained")

    @cached_property
    def second(self) -> Path:
        """Of another seed."""
        return self.fit("second", config=self.resolved(seed=7).config)

    @cached_property
    def metrics(self) -> Report:
        return self.task.evaluate(self.checkpoint, self.data)


def example_of(task: str) -> Any:
    """The module of a task's example, under a name of its own."""
    name = f"contract_example_{task}"
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{task}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
