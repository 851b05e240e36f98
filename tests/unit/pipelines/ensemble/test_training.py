"""Members: trained once, found again, gone on with, and named when they fail."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.errors import TrainingError
from seqtune.core.execution import Process, StudyMonitor, Work, WorkerInfo
from seqtune.pipelines.ensemble.member_selection import MemberSelector
from seqtune.pipelines.ensemble.members import MemberPlan, PlannedMember
from seqtune.pipelines.ensemble.training import (
    MARKER,
    MemberMonitor,
    TrainMembers,
    marker_of,
    train_missing,
)
from seqtune.tasks.recommend import TASK

Train = Callable[..., tuple[PlannedMember, ...]]


def map_serially(work: Work, monitor: StudyMonitor, *, num_workers: int) -> None:
    """An Executor whose workers take turns in this process."""
    for index in range(num_workers):
        work(WorkerInfo(index, num_workers, "here"))


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Scratch and the store of members."""
    folders = tmp_path / "scratch", tmp_path / "members"
    for folder in folders:
        folder.mkdir()
    return folders


@pytest.fixture
def train(split_folder: Path, trained: Path, places: tuple[Path, Path]) -> Train:
    def call(
        plan: MemberPlan, *, num_workers: int = 2, **changed: Any
    ) -> tuple[PlannedMember, ...]:
        scratch, store = places
        options = {"executor": map_serially, "max_retries": 3, "trained": trained, **changed}
        return train_missing(
            plan,
            TASK,
            split=split_folder,
            scratch=scratch,
            store=store,
            num_workers=num_workers,
            **options,
        )

    return call


@pytest.fixture
def plan(choose: Callable[..., MemberSelector]) -> MemberPlan:
    """The trained checkpoint and two trials."""
    return choose(top=3).choose()


def test_what_is_missing_is_trained_and_what_is_there_is_not(
    train: Train,
    plan: MemberPlan,
    trained: Path,
    places: tuple[Path, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    scratch, store = places
    with caplog.at_level(logging.INFO, logger="seqtune"):
        members = train(plan)
    assert [member.checkpoint for member in members] == [
        trained,
        *(store / member.fingerprint for member in plan.members[1:]),
    ]
    for member in members[1:]:
        assert member.checkpoint is not None
        assert open_checkpoint(member.checkpoint).manifest.fingerprint == member.fingerprint
    said = [record.getMessage() for record in caplog.records if "member" in record.getMessage()]
    assert said[0].startswith("member 1 of 3: trial 1 of recommend-medium-1: the trained")
    assert said[0].endswith("val_ndcg@5 0.5000, from before")
    assert said[1].startswith("member 2 of 3: trial 2 of recommend-medium-1, val_ndcg@5 0.")
    assert said[1].endswith(" s")
    assert list(scratch.iterdir()) == []

    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="seqtune"):
        assert train(plan) == members
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before
    assert sum("from before" in record.getMessage() for record in caplog.records) == 3


def test_a_version_of_the_checkpoint_is_a_member_that_was_trained_before(
    train: Train, plan: MemberPlan, places: tuple[Path, Path], versions: Path
) -> None:
    _, store = places
    train(plan)
    wanted = plan.members[1].fingerprint
    version = versions / "2025-05-05" / "checkpoint"
    version.parent.mkdir()
    shutil.move(store / wanted, version)

    members = train(plan)

    assert members[1].checkpoint == version
    assert not (store / wanted).exists()


def test_a_damaged_member_is_trained_again(
    train: Train, plan: MemberPlan, places: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    _, store = places
    train(plan)
    damaged = store / plan.members[1].fingerprint
    (damaged / "best.safetensors").write_bytes(b"other")

    train(plan)

    open_checkpoint(damaged).weights_path("best")
    assert "not used as a member" in caplog.text


def test_a_member_is_the_same_whoever_trains_it(
    train: Train, plan: MemberPlan, places: tuple[Path, Path]
) -> None:
    _, store = places

    def hashes() -> list[str]:
        found = (open_checkpoint(store / member.fingerprint) for member in plan.members[1:])
        return [checkpoint.manifest.best.sha256 for checkpoint in found]

    train(plan, num_workers=1)
    alone = hashes()
    for member in plan.members[1:]:
        shutil.rmtree(store / member.fingerprint)
    train(plan, num_workers=2)
    assert hashes() == alone


def test_what_was_trained_before_a_kill_is_gone_on_with(
    train: Train,
    plan: MemberPlan,
    places: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Killed between the end of a training and its publication, and right after another one."""
    import seqtune.pipelines.ensemble.training as module

    real, published = module.publish, []

    def dies(*arguments: Any) -> Path:
        if published:
            raise KeyboardInterrupt
        published.append(arguments[1].name)
        return real(*arguments)

    monkeypatch.setattr(module, "publish", dies)
    with pytest.raises(KeyboardInterrupt):
        train(plan)
    monkeypatch.setattr(module, "publish", real)
    with caplog.at_level(logging.INFO, logger="seqtune"):
        train(plan)
    assert published == [plan.members[1].fingerprint]
    assert "member 2 of 3: trial 2 of recommend-medium-1, val_ndcg@5" in caplog.text
    assert "was already trained to the end" in caplog.text
    assert list(places[0].iterdir()) == []


def test_a_member_that_fails_stops_the_stage_with_its_name(
    train: Train, plan: MemberPlan, places: tuple[Path, Path]
) -> None:
    config = plan.members[1].config
    assert config is not None
    training = config.training.model_copy(update={"monitor": "val_nothing"})
    wrong = replace(plan.members[1], config=config.model_copy(update={"training": training}))
    message = r"member 2 of 2 \(trial 2 of recommend-medium-1\) failed: .*val_nothing"
    with pytest.raises(TrainingError, match=message):
        train(MemberPlan((plan.members[0], wrong), "trials", ""))
    assert list(places[1].iterdir()) == []


def test_a_worker_may_die_a_few_times_but_not_for_ever(
    plan: MemberPlan, split_folder: Path, places: tuple[Path, Path]
) -> None:
    scratch, store = places
    work = TrainMembers(TASK, split_folder, scratch, store, plan.members[1:], ("one", "two"))
    folder = work.folder(plan.members[2])
    folder.mkdir(parents=True)
    (folder / MARKER).write_text(marker_of(Process(4711, "far-away")))
    watch = MemberMonitor(work, max_retries=1)

    watch.lost(Process(4711, "far-away"), -9, reason="its process was ended by signal 9")
    assert not watch.look().stop
    watch.lost(Process(4711, "near-by"), -9, reason="its process was ended by signal 9")
    assert not watch.look().stop
    watch.lost(Process(4711, "far-away"), -9, reason="its process was ended by signal 9")
    assert watch.look().stop.startswith("two (trial 3 of recommend-medium-1): its process died 2")


def test_a_stage_whose_workers_keep_dying_ends_with_the_reason(
    train: Train, plan: MemberPlan
) -> None:
    def dying(work: Work, monitor: StudyMonitor, *, num_workers: int) -> None:
        while not monitor.look().stop:
            monitor.lost(Process(os.getpid(), "here"), -9, reason="killed")

    with pytest.raises(TrainingError, match=r"tuning\.guards\.max_retries=2 allows no further"):
        train(plan, executor=dying, max_retries=2)


def test_nobody_is_trained_where_the_checkpoint_is_alone(
    train: Train, choose: Callable[..., MemberSelector], trained: Path
) -> None:
    (member,) = train(choose(top=1).choose(), executor=None)
    assert member.checkpoint == trained
