"""Processes of a real cluster that share one work: with toys that know nothing of training."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import toy_ranks
from toy_ranks import MOST_SECONDS, Act, Toy, names, wait_for

from seqtune.core.errors import ConfigurationError, Interrupted, SeqtuneError
from seqtune.workers.cluster.connection import connect
from seqtune.workers.cluster.file_shipping import ShippedFiles
from seqtune.workers.cluster.ranks import run_ranks
from toy_cluster import ToyCluster


def run(cluster: ToyCluster, folder: Path, act: Act, *, copy: bool = False, **options: Any) -> None:
    shipped = ShippedFiles(reads=(), scratch=folder, copy=copy)
    with connect(cluster.config(**options.pop("config", {})), shipped=shipped) as connection:
        run_ranks(
            Toy(folder, act),
            num_ranks=options.pop("num_ranks", 2),
            connection=connection,
            shipped=shipped,
            directory=folder,
            **options,
        )


@pytest.mark.slow
def test_all_ranks_work_and_the_first_one_speaks(
    cluster: ToyCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="seqtune")
    run(cluster, tmp_path, toy_ranks.speak)
    assert names(tmp_path, "done") == ["done-0-of-2", "done-1-of-2"]
    said = [record.getMessage() for record in caplog.records if record.name == "seqtune.toy"]
    assert said == ["rank 0 of 2 says hello"]
    assert not list(tmp_path.glob("ranks-*")), "what Ray Train keeps is gone"


@pytest.mark.slow
@pytest.mark.parametrize("act", [toy_ranks.die_once, toy_ranks.lose_the_other])
def test_a_lost_rank_has_all_of_them_started_again(
    cluster: ToyCluster, tmp_path: Path, act: Act
) -> None:
    run(cluster, tmp_path, act, retries=1)
    assert names(tmp_path, "done") == ["done-0-of-2", "done-1-of-2"]
    assert len(names(tmp_path, "begun")) == 4


@pytest.mark.slow
def test_ranks_that_are_lost_too_often_end_the_run(cluster: ToyCluster, tmp_path: Path) -> None:
    with pytest.raises(SeqtuneError, match=r"lost, or found no room, more often .* goes on from"):
        run(cluster, tmp_path, toy_ranks.always_die, retries=0)


@pytest.mark.slow
@pytest.mark.parametrize("retries", [0, 2])
def test_an_error_of_ours_is_raised_at_once_whichever_rank_meets_it(
    cluster: ToyCluster, tmp_path: Path, retries: int
) -> None:
    with pytest.raises(SeqtuneError, match=r"^batch_size=8 is too much$"):
        run(cluster, tmp_path, toy_ranks.refuse, retries=retries)
    assert len(names(tmp_path, "begun")) == 2
    assert names(tmp_path, "done") == []


@pytest.mark.slow
def test_a_bug_is_shown_with_its_traceback(cluster: ToyCluster, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)failed.*in stumble.*KeyError: 'a bug'"):
        run(cluster, tmp_path, toy_ranks.stumble)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_all_ranks_save_and_ends_them(
    cluster: ToyCluster, tmp_path: Path, number: signal.Signals
) -> None:
    threading.Thread(target=_signal_when_begun, args=(tmp_path, [number])).start()
    with pytest.raises(Interrupted, match="stopped by SIG") as raised:
        run(cluster, tmp_path, toy_ranks.until_asked)
    assert raised.value.signal_number == number
    assert names(tmp_path, "saved") == ["saved-0", "saved-1"]


@pytest.mark.slow
def test_a_second_signal_waits_for_nobody(cluster: ToyCluster, tmp_path: Path) -> None:
    sent = [signal.SIGTERM, signal.SIGTERM]
    threading.Thread(target=_signal_when_begun, args=(tmp_path, sent)).start()
    with pytest.raises(Interrupted):
        run(cluster, tmp_path, toy_ranks.never_mind, grace_seconds=MOST_SECONDS)
    assert names(tmp_path, "done") == []


def _signal_when_begun(folder: Path, numbers: list[signal.Signals]) -> None:
    wait_for(folder, "begun", 2)
    for number in numbers:
        os.kill(os.getpid(), number)
        time.sleep(1.0)


def test_folders_that_are_not_shared_are_refused(cluster: ToyCluster, tmp_path: Path) -> None:
    said = r"cluster.data=copy with cluster.training_workers=2.*data=shared, or train in one proc"
    with pytest.raises(ConfigurationError, match=said):
        run(cluster, tmp_path, toy_ranks.speak, copy=True)


def test_more_ranks_than_there_is_room_for_are_refused(cluster: ToyCluster, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has room for 3 workers, and 4 are wanted"):
        run(cluster, tmp_path, toy_ranks.speak, num_ranks=4, config={"cpus_per_worker": 2})
