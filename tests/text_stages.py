"""The stages ingest and split of tasks on texts, run in a folder of a test."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from seqtune.core.config import RunConfig
from seqtune.core.errors import DataError
from seqtune.core.task import Report, Sources, TaskSpec
from seqtune.text.ingested import Ingested, open_ingested


@dataclass
class TextStages:
    """Runs stages in new folders; a subclass names the task and writes its files."""

    task: ClassVar[TaskSpec]
    config: ClassVar[type[RunConfig]]

    folder: Path
    made: list[Path] = field(default_factory=list)

    def new(self, name: str) -> Path:
        path = self.folder / f"{name}-{len(self.made)}"
        path.mkdir()
        self.made.append(path)
        return path


class IngestStage(TextStages):
    """Ingests files and reads what was written last."""

    def ingest_sources(self, sources: Sources, **settings: Any) -> Report:
        config = self.config.model_validate({"ingest": settings})
        return self.task.ingest(sources, config, out=self.new("out"))

    def ingest(self, *files: Any, **settings: Any) -> Report:
        """Ingest files, given as in the task's tests."""
        raise NotImplementedError

    def fault(self, *files: Any, **settings: Any) -> str:
        """Return the message of the error; nothing was written."""
        with pytest.raises(DataError) as caught:
            self.ingest(*files, **settings)
        assert not list(self.made[-1].iterdir())
        return str(caught.value)

    def opened(self) -> Ingested:
        return open_ingested(self.made[-1], task=self.task.name)

    def column(self, name: str) -> list[Any]:
        found: list[Any] = self.opened().table[name].to_pylist()
        return found


class SplitStage(TextStages):
    """Ingests rows and splits them."""

    def ingest_sources(self, sources: Sources, **settings: Any) -> Path:
        out = self.new("ingested")
        self.task.ingest(sources, self.config.model_validate({"ingest": settings}), out=out)
        return out

    def split(
        self, ingested: Path, seed: int = 42, ingest: dict[str, Any] | None = None, **settings: Any
    ) -> tuple[Any, Report]:
        out = self.new("split")
        config = {"seed": seed, "ingest": ingest or {}, "split": settings}
        report = self.task.split(ingested, self.config.model_validate(config), out=out)
        assert json.loads(json.dumps(report)) == report
        return self.task.open_data(out), report

    def fault(self, ingested: Path, **settings: Any) -> str:
        """Return the message of the error; nothing was written."""
        with pytest.raises(DataError) as caught:
            self.split(ingested, **settings)
        assert not list(self.made[-1].iterdir())
        return str(caught.value)
