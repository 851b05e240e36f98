"""Ranks that somebody else has started: one run, whatever their number, and one error."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from toy_run import start_together, wait_for_steps
from toy_task import ToyData, toy_config, toy_spec

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import RankInfo
from seqtune.training import FitResult, fit
from seqtune.training.ranks import strategy_for
from toy_processes import exit_codes

EXACT = {"dropout": 0.0}
OPTIONS = {"epochs": 3, "lr": 0.02, "scheduler": "linear", "save_state_every_minutes": 1e-9}
TOLERANCE = 1e-4
"""Relative; ranks add up in another order."""
SECOND = RankInfo(rank=1, world_size=2)


def together(
    folder: Path, *, world_size: int = 2, toy: Any = EXACT, **options: Any
) -> list[int | None]:
    """Exit codes of ranks that train."""
    given = {**OPTIONS, **options, "toy": toy}
    return exit_codes(start_together(folder, given, world_size=world_size))


def alone(folder: Path, **options: Any) -> FitResult:
    data = ToyData(**EXACT)
    return fit(
        toy_spec(data),
        toy_config(**{**OPTIONS, **options}),
        data,
        directory=folder,
        fingerprint="f" * 16,
        progress=False,
    )


def said(folder: Path, rank: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder.parent / f"result{rank}.json").read_text())
    return found


def numbers(history: Any) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def assert_same(history: Any, expected: Any) -> None:
    for row, wanted in zip(numbers(history), numbers(expected), strict=True):
        assert row == pytest.approx(wanted, rel=TOLERANCE)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_ranks_come_to_what_one_process_comes_to(tmp_path: Path, accumulate: int) -> None:
    folder = tmp_path / "two" / "run"
    assert together(folder, accumulate_grad_batches=accumulate) == [0, 0]
    one = alone(tmp_path / "one", accumulate_grad_batches=accumulate)
    assert_same(said(folder)["history"], one.history)
    assert said(folder) == said(folder, "-1"), "every rank knows the result"
    assert [path.name for path in folder.iterdir()] == ["checkpoint"]
    assert open_checkpoint(folder / "checkpoint").manifest.best.epoch == one.best_epoch


def test_batches_that_ranks_share_unevenly_count_by_their_rows(tmp_path: Path) -> None:
    """40 rows in batches of 7: one rank has four rows, the other three, and of the last two each
    one has one."""
    assert together(tmp_path / "two" / "run", batch_size=7) == [0, 0]
    one = alone(tmp_path / "one", batch_size=7)
    assert_same(said(tmp_path / "two" / "run")["history"], one.history)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_ranks(tmp_path: Path) -> None:
    """Two ranks, then one process, then two: each is broken off in the middle of an epoch."""
    expected = alone(tmp_path / "whole", batch_size=2)
    folder = tmp_path / "run" / "run"
    assert 0 not in together(folder, batch_size=2, toy={**EXACT, "poison_at": [0, 13]})
    assert len(list(folder.glob("state-*.ckpt"))) == 1

    second = together(folder, world_size=1, batch_size=2, toy={**EXACT, "poison_at": [1, 12]})
    assert second == [1]
    assert (folder.parent / "error.txt").read_text().startswith("TrainingError: the loss became")

    assert together(folder, batch_size=2) == [0, 0]
    assert said(folder)["resumed_from"] == "epoch 2, batch 13"
    assert_same(said(folder)["history"], expected.history)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_rank_that_fails_says_why_and_the_others_do_not_wait(tmp_path: Path, rank: int) -> None:
    folder = tmp_path / "run"
    codes = together(folder, toy={**EXACT, "poison_at": [1, 2], "poisoned_rank": rank})
    assert codes[rank] == 1
    assert codes[1 - rank] != 0
    error = (tmp_path / ("error-1.txt" if rank else "error.txt")).read_text()
    assert error.startswith("TrainingError: the loss became nan in epoch 2, step 3")


def test_what_the_first_rank_finds_wrong_is_the_error_of_all(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "state-0000000001-0123456789abcdef.ckpt").write_bytes(b"torn")
    assert together(folder) == [1, 1]
    errors = [(tmp_path / name).read_text() for name in ("error.txt", "error-1.txt")]
    assert errors[0] == errors[1]
    assert errors[0].startswith("ArtifactError: every state to resume from")


def test_a_signal_to_any_rank_stops_all_with_a_state(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = {"epochs": 500, "batch_size": 2, "toy": {**EXACT, "seconds_per_batch": 0.01}}
    ranks = start_together(folder, options, world_size=2)
    wait_for_steps(folder, 4, ranks[1])
    os.kill(ranks[1].pid or 0, signal.SIGTERM)
    assert exit_codes(ranks) == [128 + signal.SIGTERM] * 2
    assert "Interrupted: stopped by signal 15" in (tmp_path / "error.txt").read_text()
    assert list(folder.glob("state-*.ckpt"))


def test_the_configuration_is_that_of_one_process() -> None:
    """So is its fingerprint: how many ranks there are is told beside it."""
    config = TrainingConfig(devices=1)
    assert strategy_for(config, "cpu", SECOND) == "ddp"
    assert strategy_for(config, "cpu") == "auto"


def test_a_strategy_for_ranks_means_nothing_to_one_process() -> None:
    for name in ("ddp", "ddp_find_unused_parameters_true", "fsdp"):
        assert strategy_for(TrainingConfig(strategy=name), "cpu") == "auto"


def test_what_ranks_cannot_share_a_training_by_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"not supported for the 2 processes .*; choose"):
        strategy_for(TrainingConfig(strategy="ddp_spawn"), "cpu", SECOND)


def test_ranks_that_do_not_know_where_to_meet_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    data = ToyData()
    with pytest.raises(ConfigurationError, match=r"rank 1 of 2 .* MASTER_ADDR and MASTER_PORT"):
        fit(
            toy_spec(data),
            toy_config(),
            data,
            directory=tmp_path,
            fingerprint="f" * 16,
            launched=SECOND,
        )
