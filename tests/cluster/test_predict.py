"""Predictions by the processes of a real cluster are those of one process, to the last byte."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from seqtune.core.execution import ParallelMap, map_serially
from seqtune.core.task import Report
from seqtune.pipeline_registry import TASKS
from seqtune.workers.cluster.file_shipping import ShippedFiles
from seqtune.workers.cluster.parallel_map import parallel_map_over

sys.path.append(str(Path(__file__).parents[1] / "contract"))
sys.path.append(str(Path(__file__).parents[1] / "unit" / "tasks" / "classify"))

from fixed_logits import write_ensemble
from prepared import Prepared, example_of
from toy_predicting import MortalSpread

from toy_cluster import ToyCluster

pytestmark = pytest.mark.slow

SCALES = {"recommend": "log_softmax", "classify": "logits", "summarize": "minimum_bayes_risk"}
FILES = ("predictions.parquet", "submission.csv")


@dataclass(frozen=True)
class Predicting:
    """A task, trained, with an ensemble beside the checkpoint."""

    prepared: Prepared

    @cached_property
    def folders(self) -> dict[str, Path]:
        """What can predict."""
        one, other, name = self.prepared.checkpoint, self.prepared.second, self.prepared.task.name
        ensemble = self.prepared.folder / "ensemble"
        write_ensemble(ensemble, {one: 0.4, other: 0.6}, scale=SCALES[name], task=name)
        return {"checkpoint": one, "ensemble": ensemble}

    def predict(
        self, kind: str, out: Path, *, spread: ParallelMap, new_rows: tuple[Path, ...] = ()
    ) -> Report:
        out.mkdir()
        settings = self.prepared.parameters().predict.model_copy(update={"batch_size": 3})
        return self.prepared.task.predict(
            self.folders[kind],
            self.prepared.data,
            settings,
            new_rows=new_rows,
            out=out,
            spread=spread,
        )

    def reads(self, out: Path) -> tuple[Path, ...]:
        return (*self.folders.values(), self.prepared.folder / "first-split", out)


@pytest.fixture(scope="session")
def predicting(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Predicting]:
    made: dict[str, Predicting] = {}

    def make(name: str) -> Predicting:
        if name not in made:
            folder, example = tmp_path_factory.mktemp(name), example_of(name)
            example.write(folder)
            (task,) = (task for task in TASKS if task.name == name)
            made[name] = Predicting(Prepared(task, folder, example))
        return made[name]

    return make


@pytest.fixture(autouse=True)
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in TASKS:
        module = import_module(f"seqtune.tasks.{task.name}.predict")
        monkeypatch.setattr(module, "CHUNK_BATCHES", 2)


def contents(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in FILES]


@pytest.mark.parametrize(
    ("name", "kind", "of_whom", "data"),
    [
        ("recommend", "checkpoint", "known", "shared"),
        ("recommend", "ensemble", "known", "shared"),
        ("recommend", "checkpoint", "new", "copy"),
        ("classify", "checkpoint", "known", "shared"),
        ("classify", "ensemble", "new", "copy"),
        ("summarize", "checkpoint", "known", "shared"),
        ("summarize", "ensemble", "new", "copy"),
    ],
)
def test_a_cluster_predicts_what_one_process_predicts(
    cluster: ToyCluster,
    predicting: Callable[[str], Predicting],
    tmp_path: Path,
    name: str,
    kind: str,
    of_whom: str,
    data: str,
) -> None:
    one = predicting(name)
    new: Any = () if of_whom == "known" else (one.prepared.example.new_rows(tmp_path),)
    here, there = tmp_path / "here", tmp_path / "there"
    said = one.predict(kind, here, spread=map_serially, new_rows=new)
    config = cluster.config(data=data, prediction_workers=2)
    shipped = ShippedFiles(one.reads(there), tmp_path, copy=data == "copy")
    told = one.predict(kind, there, spread=parallel_map_over(config, shipped), new_rows=new)
    assert told == said
    assert contents(there) == contents(here)
    assert sorted(path.name for path in there.iterdir()) == list(FILES)


def test_whoever_is_killed_no_user_is_missing_or_there_twice(
    cluster: ToyCluster, predicting: Callable[[str], Predicting], tmp_path: Path
) -> None:
    one, here, there = predicting("recommend"), tmp_path / "here", tmp_path / "there"
    one.predict("checkpoint", here, spread=map_serially)
    spread = parallel_map_over(
        cluster.config(prediction_workers=2), ShippedFiles(one.reads(there), tmp_path, copy=False)
    )
    report = one.predict("checkpoint", there, spread=MortalSpread(spread, tmp_path))
    assert (tmp_path / "died").exists()
    users = pq.read_table(there / FILES[0])["user"].to_pylist()
    assert len(dict.fromkeys(users)) == report["users"] == one.prepared.data.num_users  # type: ignore[attr-defined]
    assert contents(there) == contents(here)
