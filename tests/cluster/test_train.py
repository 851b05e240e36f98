"""A training that processes of a cluster share: one of them is killed, or all are asked to stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import pytest
from toy_training import CASE, Training

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.errors import Interrupted
from seqtune.workers.cluster.connection import connect
from seqtune.workers.cluster.file_shipping import ShippedFiles
from seqtune.workers.cluster.ranks import run_ranks
from toy_cluster import ToyCluster

from shared_training import TIGHT, round_trips  # isort: skip

pytestmark = pytest.mark.slow

LOOSE = 1e-2
"""Relative, of losses after hundreds of steps, in which other sums have other consequences."""


def share(cluster: ToyCluster, work: Training) -> None:
    shipped = ShippedFiles(reads=(work.folder / "split",), scratch=work.folder, copy=False)
    with connect(cluster.config(), shipped=shipped) as connection:
        run_ranks(work, num_ranks=2, connection=connection, shipped=shipped, directory=work.folder)


def alone(folder: Path, *, epochs: int) -> list[dict[str, float]]:
    round_trips(folder / "split")
    return Training(folder, epochs).train()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_changes_nothing(
    cluster: ToyCluster, tmp_path: Path, rank: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="seqtune")
    round_trips(tmp_path / "split")
    work = Training(tmp_path, epochs=20, killed_rank=rank)
    share(cluster, work)
    assert (tmp_path / "killed").exists()
    assert work.history(0) == work.history(1)
    for row, wanted in zip(work.history(0), alone(tmp_path / "alone", epochs=20), strict=True):
        assert row == pytest.approx(wanted, rel=TIGHT)
    assert [path.name for path in (tmp_path / CASE).iterdir()] == ["checkpoint"]
    assert open_checkpoint(tmp_path / CASE / "checkpoint").manifest.stopped == "finished"
    said = [record.getMessage() for record in caplog.records]
    assert sum(line.startswith("resuming at epoch") for line in said) == 1


def test_what_a_cluster_began_goes_on_here(cluster: ToyCluster, tmp_path: Path) -> None:
    round_trips(tmp_path / "split")
    work = Training(tmp_path, epochs=100)
    threading.Thread(target=_end_when_there_is_a_state, args=(work,)).start()
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        share(cluster, work)
    assert work.states()
    here = work.train()
    for row, wanted in zip(here, alone(tmp_path / "alone", epochs=100), strict=True):
        assert row["train_loss"] == pytest.approx(wanted["train_loss"], rel=LOOSE)


def _end_when_there_is_a_state(work: Training) -> None:
    work.wait_for_a_state()
    os.kill(os.getpid(), signal.SIGTERM)
