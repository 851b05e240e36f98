"""A promoted trial resumes the training of the shorter one; the states of the best are kept."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.errors import Interrupted
from seqtune.pipelines.tune.objective import TrainTrial
from seqtune.pipelines.tune.trial_states import ORIGIN, TrialStates
from seqtune.tuning.objectives.scoring import Scoring

sys.path.insert(0, str(Path(__file__).parent))

from toy_decoder import decoder_task, num_epochs_trained, parameters

QUICK, MEDIUM = 2, 5
BEST = {"training.lr": 0.02}


@dataclass
class Listener:
    """What a search is told."""

    die_at: int = 0
    epochs: list[int] = field(default_factory=list)
    resumed: list[tuple[str, list[int]]] = field(default_factory=list)

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        if epoch == self.die_at:
            raise Interrupted("stopped", signal_number=15)
        self.epochs.append(epoch)
        return False

    def resume(self, trial: str, history: Sequence[Mapping[str, float]]) -> None:
        self.resumed.append((trial, [int(row["epoch"]) for row in history]))


@dataclass
class Stages:
    """The objectives of both stages of one search."""

    folder: Path
    num: int = 2
    max_gib: float = 1.0
    training: Mapping[str, Any] = field(default_factory=dict)
    measures: bool = False

    def objective(self, stage: str, epochs: int) -> TrainTrial:
        self.folder.mkdir(exist_ok=True)
        task = decoder_task(self.folder)
        num = self.num if stage == "quick" else 0
        return TrainTrial(
            task=task if self.measures else replace(task, measure=None, after_training=()),
            parameters=parameters(**self.training),
            split=self.folder,
            scratch=self.folder / "scratch",
            stage=stage,
            epochs=epochs,
            dry_run=False,
            states=TrialStates(self.states, Scoring("val_loss", "min"), num, self.max_gib),
        )

    @property
    def states(self) -> Path:
        return self.folder / "scratch" / "tune" / "states-toy"

    def kept(self) -> list[str]:
        """The trials whose states are kept."""
        texts = [path.read_text() for path in sorted(self.states.glob(f"*/{ORIGIN}"))]
        return sorted(text.split('"')[3] for text in texts)

    def quick(self, params: Mapping[str, Any] = BEST, *, name: str = "toy-quick-1-0001") -> Any:
        return self.objective("quick", QUICK)(params, Listener(), name=name)

    def medium(
        self, listener: Listener | None = None, params: Mapping[str, Any] = BEST
    ) -> Mapping[str, float]:
        objective = self.objective("medium", MEDIUM)
        return objective(params, listener or Listener(), name="toy-medium-1-0004")


def told(metrics: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if key != "fit_seconds"}


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    return Stages(tmp_path / "resumed")


@pytest.mark.parametrize("measures", [False, True], ids=["fitted", "measured"])
def test_a_promoted_trial_trains_what_is_missing_and_gives_the_same(
    stages: Stages, tmp_path: Path, measures: bool
) -> None:
    stages.measures = measures
    whole = Stages(tmp_path / "whole", measures=measures).medium()
    stages.quick()
    listener = Listener()
    assert told(stages.medium(listener)) == told(whole)
    assert listener.resumed == [("toy-quick-1-0001", [1, 2])]
    assert listener.epochs == [3, 4, 5]
    assert num_epochs_trained(stages.folder) == MEDIUM


def test_another_configuration_starts_from_the_first_epoch(stages: Stages) -> None:
    stages.quick()
    listener = Listener()
    stages.medium(listener, {"training.lr": 0.03})
    assert not listener.resumed
    assert listener.epochs == [1, 2, 3, 4, 5]


def test_a_schedule_that_depends_on_the_epochs_starts_anew(stages: Stages) -> None:
    stages.training = {"scheduler": "cosine"}
    stages.quick()
    listener = Listener()
    stages.medium(listener)
    assert (listener.resumed, listener.epochs) == ([], [1, 2, 3, 4, 5])


def test_the_best_few_stay_and_those_of_an_older_search_go_first(stages: Stages) -> None:
    stages.quick({"training.lr": 0.05}, name="toy-quick-0-0007")
    lost = [
        stages.quick({"training.lr": rate}, name=f"toy-quick-1-{number:04}")["val_loss"]
        for number, rate in enumerate((0.01, 0.0001, 0.02), start=1)
    ]
    order = sorted(range(3), key=lost.__getitem__)
    assert stages.kept() == sorted(f"toy-quick-1-{place + 1:04}" for place in order[:2])
    assert not list((stages.folder / "scratch" / "tune").glob("toy-*"))


def test_the_disk_that_states_take_is_bounded(
    stages: Stages, caplog: pytest.LogCaptureFixture
) -> None:
    stages.max_gib = 1e-9
    stages.quick()
    stages.quick({"training.lr": 0.03}, name="toy-quick-1-0002")
    assert stages.kept() == []
    assert caplog.text.count("more than tuning.narrowing.states_gib=1e-09: promoted") == 1
    stages.max_gib = 0.0
    assert not stages.objective("quick", QUICK).states.is_kept  # type: ignore[union-attr]


def test_at_the_end_of_a_search_nothing_is_left(stages: Stages) -> None:
    stages.quick()
    TrialStates(stages.states, Scoring("val_loss", "min")).remove()
    assert not stages.states.exists()


def test_stopped_after_it_resumed_it_goes_on_from_its_own_state(
    stages: Stages, tmp_path: Path
) -> None:
    whole = Stages(tmp_path / "whole").medium()
    stages.quick()
    with pytest.raises(Interrupted):
        stages.medium(Listener(die_at=4))
    again = Listener()
    assert told(stages.medium(again)) == told(whole)
    assert (again.resumed, again.epochs) == ([], [4, 5])


def test_killed_before_its_result_was_recorded_it_is_not_trained_again(stages: Stages) -> None:
    first = stages.quick()
    again = stages.quick()
    assert told(again) == told(first)
    assert num_epochs_trained(stages.folder) == QUICK


def test_a_damaged_state_costs_time_only(
    stages: Stages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = Stages(tmp_path / "whole").medium()
    stages.quick()
    (state,) = stages.states.glob("*/state-*.ckpt")
    state.write_bytes(state.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        assert told(stages.medium()) == told(whole)
    assert "is damaged" in caplog.text
    assert "here it is trained from the first epoch" in caplog.text


def test_a_state_that_does_not_say_whose_it_is_is_not_used_and_goes_first(stages: Stages) -> None:
    stages.num = 1
    stages.quick()
    (origin,) = stages.states.glob(f"*/{ORIGIN}")
    origin.write_text("{")
    listener = Listener()
    stages.medium(listener)
    assert not listener.resumed
    stages.quick({"training.lr": 0.03}, name="toy-quick-1-0002")
    assert stages.kept() == ["toy-quick-1-0002"]


def test_what_a_kill_left_half_adopted_does_no_harm(stages: Stages, tmp_path: Path) -> None:
    whole = Stages(tmp_path / "whole").medium()
    stages.quick()
    directory = stages.folder / "scratch" / "tune" / "toy-medium-1-0004"
    directory.mkdir()
    for name in ("best-0002.safetensors", "state.partial"):
        (directory / name).write_bytes(b"half")
    listener = Listener()
    assert told(stages.medium(listener)) == told(whole)
    assert listener.epochs == [3, 4, 5]


def test_what_a_kill_left_half_added_does_no_harm(stages: Stages) -> None:
    partial = stages.states.with_suffix(".partial")
    partial.mkdir(parents=True)
    (partial / "state-0000000001-0123456789abcdef.ckpt").write_bytes(b"half")
    stages.quick()
    assert stages.kept() == ["toy-quick-1-0001"]
    assert not partial.exists()


def test_a_trial_that_was_stopped_early_leaves_no_state(stages: Stages) -> None:
    class Stopping(Listener):
        def __call__(self, epoch: int, metrics: Mapping[str, float]) -> bool:
            return True

    stages.objective("quick", QUICK)(BEST, Stopping(), name="toy-quick-1-0001")
    assert stages.kept() == []
