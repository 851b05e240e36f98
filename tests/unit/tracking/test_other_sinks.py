"""TensorBoard and Weights & Biases, read back from the files that they leave."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtune.tracking import Record
from seqtune.tracking.silence_mlflow import quietly

TRIAL = Record(
    "training",
    "recommend.tune.quick",
    name="trial 7",
    group="recommend-quick-1",
    params={"training.lr": 0.01, "model.side": None, "db_password": "hunter2"},
    metrics={"val_ndcg@10": 0.5},
    series={"epoch/val_ndcg@10": {1: 0.25, 2: 0.5}, "epoch/train_loss": {1: 2.0, 2: 1.0}},
    tags={"reason": "mysql://eve:hunter2@db/x"},
    started=1_700_000_000.0,
    seconds=2.0,
)
STAGE = Record("stage", "recommend.tune.quick", metrics={"trials/complete": 1.0})


def all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def unpacked(log: bytes) -> Iterator[bytes]:
    """Records of a log in LevelDB's format, behind the header that W&B puts in front."""
    place, data, block = 7, b"", 1 << 15
    while place + 7 <= len(log):
        if block - place % block < 7:  # the rest of a block is filled up
            place += block - place % block
            continue
        _checksum, length, part = struct.unpack("<IHB", log[place : place + 7])
        data += log[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # whole, or the last of several
            yield data
            data = b""


class TestTensorBoard:
    @pytest.fixture
    def sink(self, tmp_path: Path) -> Any:
        pytest.importorskip("tensorboard")
        from seqtune.tracking.tensorboard_sink import TensorBoardSink

        return TensorBoardSink(tmp_path, run="2026-03-01")

    def log(self, sink: Any, *records: Record) -> None:
        with quietly():
            sink.log(records)

    def curve(self, folder: Path, name: str) -> list[tuple[int, float]]:
        with quietly():
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

            events = EventAccumulator(str(folder))
            events.Reload()
        return [(event.step, event.value) for event in events.Scalars(name)]

    def test_a_trial_is_a_folder_below_its_study(self, sink: Any, tmp_path: Path) -> None:
        self.log(sink, STAGE, TRIAL)

        folder = tmp_path / "recommend-quick-1" / "trial-7"
        assert self.curve(folder, "val_ndcg@10") == [(1, 0.25), (2, 0.5)]
        assert self.curve(folder, "train_loss") == [(1, 2.0), (2, 1.0)]
        assert list(tmp_path.glob("*/*")) == [folder]
        assert b"hunter2" not in all_bytes(tmp_path)

    def test_a_trial_from_before_is_not_drawn_twice(self, sink: Any, tmp_path: Path) -> None:
        self.log(sink, TRIAL)
        before = all_bytes(tmp_path)
        self.log(sink, replace(TRIAL, is_new=False))

        assert all_bytes(tmp_path) == before


class TestWandb:
    @pytest.fixture
    def sink(self, tmp_path: Path) -> Any:
        pytest.importorskip("wandb")
        from seqtune.tracking.wandb_sink import WandbSink

        sink = WandbSink(tmp_path, project="films", mode="offline", run="2026-03-01")
        yield sink
        with quietly():
            sink.close("FINISHED", "")

    def read(self, folder: Path) -> dict[str, list[Any]]:
        """What an offline run holds, by kind of record."""
        from wandb.proto.wandb_internal_pb2 import Record as Line

        (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
        lines: dict[str, list[Any]] = {}
        for data in unpacked(file.read_bytes()):
            line = Line()
            line.ParseFromString(data)
            kind = str(line.WhichOneof("record_type"))
            lines.setdefault(kind, []).append(getattr(line, kind))
        return lines

    def test_a_trial_is_a_run_in_the_group_of_its_study(self, sink: Any, tmp_path: Path) -> None:
        with quietly():
            sink.log([STAGE, TRIAL])
            sink.close("FINISHED", "")  # until then its own process may hold some of it back
            lines = self.read(tmp_path)

        (run, *_) = lines["run"]
        assert (run.project, run.run_group, run.display_name) == (
            "films",
            "recommend-quick-1",
            "trial 7",
        )
        rows = [
            {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in row.item}
            for row in lines["history"]
        ]
        assert [(row["epoch"], row["val_ndcg@10"]) for row in rows] == [(1, 0.25), (2, 0.5)]
        assert b"hunter2" not in all_bytes(tmp_path)

    def test_a_trial_from_before_is_not_written_twice(self, sink: Any, tmp_path: Path) -> None:
        with quietly():
            sink.log([TRIAL])
            sink.log([replace(TRIAL, is_new=False)])

        assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
