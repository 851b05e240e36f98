"""`profile_steps`: the same steps as `fit`, no trace left, and memory that does not suffice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import ToyData, ToyModule, toy_config, toy_spec

from seqtune.core.errors import ConfigurationError, InfeasibleError, TrainingError
from seqtune.training import StepProfile, fit, profile_steps


def rehearsal(
    directory: Path, data: ToyData | None = None, *, num_steps: int = 2, **options: Any
) -> StepProfile:
    data = data or ToyData()
    config = toy_config(**options)
    return profile_steps(toy_spec(data), config, data, num_steps=num_steps, directory=directory)


def test_its_losses_are_those_of_fit_to_the_last_bit(tmp_path: Path) -> None:
    """Five batches are the first epoch; with one more the second has begun."""
    data = ToyData()
    result = fit(
        toy_spec(data),
        toy_config(scheduler="cosine", warmup_ratio=0.2),
        data,
        directory=tmp_path / "run",
        fingerprint="f" * 16,
        progress=False,
    )
    found = rehearsal(tmp_path, num_steps=6, scheduler="cosine", warmup_ratio=0.2)
    assert len(found.losses) == 6
    assert sum(found.losses[:5]) / 5 == result.history[0]["train_loss"]


def test_it_repeats_itself_and_another_seed_does_not(tmp_path: Path) -> None:
    first, again = rehearsal(tmp_path), rehearsal(tmp_path)
    assert first.losses == again.losses
    assert len(first.losses) == 2
    assert rehearsal(tmp_path, seed=8).losses != first.losses


def test_losses_do_not_depend_on_accumulation_while_weights_are_the_same(tmp_path: Path) -> None:
    plain, gathered = rehearsal(tmp_path), rehearsal(tmp_path, accumulate_grad_batches=4)
    assert gathered.losses[0] == plain.losses[0]
    assert gathered.losses[1] != plain.losses[1]


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    threads = torch.get_num_threads()
    rehearsal(tmp_path, num_threads=1)
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_it_says_what_a_run_would_cost_and_log(tmp_path: Path) -> None:
    found = rehearsal(tmp_path)
    size = sum(p.numel() for p in ToyModule(ToyData()).parameters())
    assert found.num_parameters == size
    assert found.model_mib == pytest.approx(4 * size / 2**20)
    assert 0 < found.step_seconds < 1
    assert found.validation_seconds_per_row is not None
    assert 0 < found.validation_seconds_per_row < 1
    assert found.metrics == ("train_loss", "val_epoch", "val_loss", "val_mean")


def test_it_validates_one_batch_whenever_the_run_would_validate(tmp_path: Path) -> None:
    found = rehearsal(tmp_path, validate_every_epochs=3)
    assert "val_loss" in found.metrics


def test_without_validation_there_is_no_such_time(tmp_path: Path) -> None:
    found = rehearsal(tmp_path, ToyData(has_validation=False), monitor="nothing")
    assert found.validation_seconds_per_row is None
    assert found.metrics == ("train_loss",)


def test_a_metric_that_is_never_logged_is_refused_as_fit_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"monitor='val_los' was never logged; choose one"):
        rehearsal(tmp_path, monitor="val_los")
    with pytest.raises(ConfigurationError, match=r"validate_every_epochs=9 never validates in"):
        rehearsal(tmp_path, validate_every_epochs=9)


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the loss became nan in epoch 1, step 2"):
        rehearsal(tmp_path, ToyData(poison_at=(0, 1)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_on_several_devices_the_first_one_tells(tmp_path: Path) -> None:
    found = rehearsal(tmp_path, devices=2)
    assert len(found.losses) == 2
    assert found.peak_memory_mib is None
    assert list(tmp_path.iterdir()) == []


class Exhausted(ToyModule):
    """Raises what the allocators raise."""

    error: Exception = MemoryError()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    ],
)
def test_whatever_says_that_memory_is_short_becomes_infeasible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(ToyModule, "training_step", Exhausted.training_step)
    monkeypatch.setattr(ToyModule, "error", error, raising=False)
    with pytest.raises(InfeasibleError, match=r"does not suffice with training\.batch_size=8") as e:
        rehearsal(tmp_path)
    assert (e.value.constraint, e.value.violation) == ("out of memory", 1.0)
    assert e.value.__cause__ is error


def test_other_errors_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyModule, "training_step", Exhausted.training_step)
    monkeypatch.setattr(ToyModule, "error", RuntimeError("shapes do not fit"), raising=False)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        rehearsal(tmp_path)


STARVED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from toy_task import ToyData, ToyModule, toy_config, toy_spec
from seqtune.core.errors import InfeasibleError
from seqtune.training import fit, profile_steps

class Greedy(ToyModule):
    def training_step(self, batch, batch_idx):
        self.kept = [torch.zeros(1 << 22) for _ in range(60)]  # 16 MiB each
        return super().training_step(batch, batch_idx)

data, folder = ToyData(), Path(sys.argv[2])
spec = toy_spec(data)
config = toy_config(num_threads=1)
print(len(profile_steps(spec, config, data, directory=folder).losses))
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (500 << 20),) * 2)
greedy = type(spec)(**{**vars(spec), "build_module": lambda config, data: Greedy(data)})
for call in (
    lambda: profile_steps(greedy, config, data, directory=folder),
    lambda: fit(greedy, config, data, directory=folder / "run", fingerprint="f" * 16,
                progress=False),
):
    try:
        call()
    except InfeasibleError as error:
        # what the model took can be taken again, although the error is still at hand
        print(error.constraint, sum(t.numel() for t in [torch.zeros(1 << 22) for _ in range(25)]))
print(len(profile_steps(spec, config, data, directory=folder).losses))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS")
def test_memory_that_really_runs_out_is_infeasible_and_given_back(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", STARVED, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert told.stdout.splitlines() == ["2", *["out of memory 104857600"] * 2, "2"], told.stderr
