"""Going on after an end that was not the end, in the same process; see also tests/faults."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_task import ToyData, toy_config, toy_spec

from seqtune.core.checkpoint import file_hash, open_checkpoint
from seqtune.core.errors import ArtifactError, TrainingError
from seqtune.training import FitResult, fit
from small_disks import fill, small_disk

EVERY_STEP = 1e-9
NUM_BATCHES = 5


def train(directory: Path, *, fingerprint: str = "f" * 16, **options: Any) -> FitResult:
    toy = options.pop("toy", {})
    data = ToyData(**toy)
    config = toy_config(**{"epochs": 3, "lr": 0.02, "precision": "fp32", **options})
    return fit(
        toy_spec(data),
        config,
        data,
        directory=directory,
        fingerprint=fingerprint,
        progress=False,
    )


def break_off(directory: Path, *, epoch: int, batch: int, **options: Any) -> None:
    """Train until the loss of one step is no number, which leaves the states before it."""
    with pytest.raises(TrainingError, match="the loss became nan"):
        train(directory, toy={"poison_at": (epoch, batch)}, **options)


def outcome(result: FitResult) -> tuple[Any, ...]:
    """All that must be equal: history, best epoch, and both files of weights."""
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]
    files = [load_file(result.checkpoint / f"{which}.safetensors") for which in ("best", "last")]
    weights = [{name: tensor.tolist() for name, tensor in file.items()} for file in files]
    return history, result.best_epoch, result.stopped, weights


@pytest.mark.parametrize(
    ("steps", "options"),
    [
        (range(2 * NUM_BATCHES), {}),
        ((3, 4, 5, 6, 7), {"accumulate_grad_batches": 2, "scheduler": "cosine"}),
        ((4, 8), {"precision": "bf16", "scheduler": "step", "step_size_epochs": 1}),
        ((4, 9), {"monitor": "val_epoch", "early_stopping": {"patience": 1}, "epochs": 5}),
        ((4, 8), {"scheduler": "linear", "warmup_ratio": 0.5, "optimizer": "adam"}),
    ],
    ids=["plain", "accumulated", "bf16", "early_stopping", "warm_up"],
)
def test_broken_off_at_a_step_it_ends_as_if_nothing_had_happened(
    tmp_path: Path, steps: Sequence[int], options: dict[str, Any]
) -> None:
    options = {"epochs": 2, "save_state_every_minutes": EVERY_STEP, **options}
    whole = outcome(train(tmp_path / "whole", **options))
    for step in steps:
        directory = tmp_path / str(step)
        epoch, batch = divmod(step, NUM_BATCHES)
        break_off(directory, epoch=epoch, batch=batch, **options)
        assert outcome(train(directory, **options)) == whole, step


def test_says_where_it_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    break_off(tmp_path, epoch=1, batch=3, save_state_every_minutes=EVERY_STEP)
    with caplog.at_level(logging.INFO):
        result = train(tmp_path, save_state_every_minutes=EVERY_STEP)
    assert result.resumed_from == "epoch 2, batch 4"
    assert "resuming at epoch 2, batch 4" in caplog.text


def test_without_a_state_within_the_epoch_it_goes_on_from_its_start(tmp_path: Path) -> None:
    whole = outcome(train(tmp_path / "whole"))
    break_off(tmp_path / "a", epoch=1, batch=3)
    result = train(tmp_path / "a")
    assert result.resumed_from == "epoch 2, batch 1"
    assert outcome(result) == whole


def test_with_accumulation_a_state_is_saved_between_optimiser_steps_only(tmp_path: Path) -> None:
    options = {"accumulate_grad_batches": 2, "save_state_every_minutes": EVERY_STEP}
    break_off(tmp_path, epoch=0, batch=3, **options)
    assert train(tmp_path, **options).resumed_from == "epoch 1, batch 3"


def test_seconds_are_those_of_all_sessions(tmp_path: Path) -> None:
    break_off(tmp_path, epoch=2, batch=0)
    result = train(tmp_path)
    assert result.seconds >= sum(row["seconds"] for row in result.history[:2])


def test_resume_false_starts_again(tmp_path: Path) -> None:
    break_off(tmp_path, epoch=1, batch=3)
    assert train(tmp_path, resume=False).resumed_from is None
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_the_unfinished_run_of_another_fingerprint_is_not_gone_on_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    break_off(tmp_path, epoch=1, batch=3, fingerprint="e" * 16)
    assert train(tmp_path).resumed_from is None
    assert "another configuration" in caplog.text


def test_a_state_holds_only_values_that_load_without_running_code(tmp_path: Path) -> None:
    break_off(tmp_path, epoch=1, batch=3, scheduler="cosine")
    for path in states(tmp_path):
        torch.load(path, weights_only=True)


def states(directory: Path) -> list[Path]:
    return sorted(directory.glob("state-*.ckpt"))


def test_two_states_are_kept_and_the_older_one_serves_when_the_newer_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"save_state_every_minutes": EVERY_STEP}
    whole = outcome(train(tmp_path / "whole", **options))
    directory = tmp_path / "a"
    break_off(directory, epoch=2, batch=1, **options)
    older, newer = states(directory)
    content = bytearray(newer.read_bytes())
    content[len(content) // 2] ^= 1
    newer.write_bytes(content)
    result = train(directory, **options)
    assert f"{newer} is damaged: resuming from the state before it" in caplog.text
    assert result.resumed_from == "epoch 3, batch 1"
    assert outcome(result) == whole
    assert older.name < newer.name


@pytest.mark.parametrize(
    "content", [Path("never-run"), {"loops": {}}, "text"], ids=["pickle", "other", "text"]
)
def test_what_is_no_state_is_refused_though_its_name_fits(tmp_path: Path, content: Any) -> None:
    torch.save(content, made := tmp_path / "made")
    made.rename(tmp_path / f"state-0000000001-{file_hash(made)[:16]}.ckpt")
    with pytest.raises(ArtifactError, match=r"damaged; delete that folder, or run with training\."):
        train(tmp_path)


def test_when_every_state_is_damaged_it_says_so(tmp_path: Path) -> None:
    break_off(tmp_path, epoch=2, batch=1)
    for path in states(tmp_path):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"damaged; delete that folder, or run with training\."):
        train(tmp_path)


def test_left_overs_of_a_write_that_was_cut_off_do_no_harm(tmp_path: Path) -> None:
    whole = outcome(train(tmp_path / "whole"))
    break_off(tmp_path / "a", epoch=2, batch=1)
    (tmp_path / "a" / "state.partial").write_bytes(b"half")
    (tmp_path / "a" / "best-0002.safetensors.partial").write_bytes(b"half")
    assert outcome(train(tmp_path / "a")) == whole
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("kilobytes", [0, 3, 6, 9, 12])
def test_a_full_disk_is_said_and_training_resumes_when_there_is_room(
    tmp_path: Path, kilobytes: int
) -> None:
    whole = outcome(train(tmp_path / "whole"))
    with small_disk(tmp_path / "disk", size="256k") as disk:
        fill(disk / "filler", leave=1024 * kilobytes)
        with pytest.raises(OSError, match="No space left"):
            train(disk / "a")
        (disk / "filler").unlink()
        assert outcome(train(disk / "a")) == whole


def test_a_finished_checkpoint_is_returned_at_once(tmp_path: Path) -> None:
    first = train(tmp_path)
    written = first.checkpoint.stat().st_mtime_ns
    second = train(tmp_path, toy={"poison_at": (0, 0)})
    assert outcome(second) == outcome(first)
    assert second.checkpoint.stat().st_mtime_ns == written


def test_a_checkpoint_that_was_taken_away_is_trained_again(tmp_path: Path) -> None:
    first = train(tmp_path / "a")
    expected = outcome(first)
    shutil.move(first.checkpoint, tmp_path / "promoted")
    second = train(tmp_path / "a")
    assert second.resumed_from is None
    assert outcome(second) == expected


def test_a_run_cut_off_after_its_last_epoch_only_writes_its_checkpoint(tmp_path: Path) -> None:
    """As if killed between the last state and the manifest: no step is trained again."""
    whole = outcome(train(tmp_path / "whole"))
    data = ToyData()
    data.write_assets = _fail  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk"):
        fit(
            toy_spec(data),
            toy_config(epochs=3, lr=0.02),
            data,
            directory=tmp_path / "a",
            fingerprint="f" * 16,
            progress=False,
        )
    assert not (tmp_path / "a" / "checkpoint" / "checkpoint.json").exists()
    result = train(tmp_path / "a", toy={"poison_at": (0, 0)})
    assert outcome(result) == whole
    open_checkpoint(result.checkpoint).weights_path("best")


def _fail(*_: object) -> None:
    raise OSError("disk")
