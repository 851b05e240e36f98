from __future__ import annotations

import shutil
import sqlite3
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from toy_studies import DEAD, ELSEWHERE, SPACE, begin, run_one, toy_plan

from seqtune.core.errors import ArtifactError, TuningError
from seqtune.tuning.studies.heartbeat import beating
from seqtune.tuning.studies.heartbeat_monitor import BEAT
from seqtune.tuning.studies.records import count, mark_failed, read_trials, to_trial
from seqtune.tuning.studies.storage import open_storage
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.stored_study import StoredStudy, trial_in_storage
from seqtune.tuning.studies.study import load_study, open_study, recover, study_name
from seqtune.tuning.studies.warm_start import read_foreign, warm_start

PLAN = toy_plan()
WIDER = {**SPACE, "training": {"lr": {**SPACE["training"]["lr"], "high": 2.0}}}


# ---- names and identity -------------------------------------------------------------------------


def test_a_name_says_task_stage_and_fingerprint():
    name = study_name(PLAN)
    assert name.startswith("toy-quick-")
    assert len(name) == len("toy-quick-") + 8


@pytest.mark.parametrize(
    "change",
    [
        {"environment": {"data": "other"}},
        {"epochs": 4},
        {"fixed": {"model.layers": 2}},
        {"space": WIDER},
    ],
)
def test_what_counts_makes_another_name(change):
    assert study_name(toy_plan(**change)) != study_name(PLAN)


def test_budget_queue_and_seed_do_not_make_another_study():
    plan = toy_plan(total=99, seed=7, queue=({"x": 0.5},), timeout_seconds=60.0)
    assert study_name(plan) == study_name(PLAN)


def test_a_new_study_says_so(ref: StorageUrl):
    opened = open_study(ref, PLAN)
    assert opened.notes == (f"new study {study_name(PLAN)}: 4 trials to run",)


def test_taking_a_study_up_is_said_aloud(ref: StorageUrl):
    study = open_study(ref, PLAN).study
    run_one(study, PLAN)
    mark_failed(study, begin(study, PLAN), "NaN")

    opened = open_study(ref, PLAN)

    assert opened.notes == (f"resuming study {study_name(PLAN)}: 1 of 4 trials finished, 1 failed",)


def test_a_changed_space_begins_another_study_and_says_what_changed(sqlite: StorageUrl):
    old = open_study(sqlite, PLAN).study
    run_one(old, PLAN)
    changed = toy_plan(WIDER, environment={"data": "xyz", "versions": {"seqtune": "0.0"}})

    opened = open_study(sqlite, changed)

    assert opened.notes == (
        f"new study {study_name(changed)}, because this differs from {study_name(PLAN)}, "
        "which stays as it is:",
        '  environment.data: "abc" -> "xyz"',
        "  space.training.lr.high: 1.0 -> 2.0",
    )
    assert count(load_study(sqlite, study_name(PLAN))).complete == 1


def test_reordered_choices_and_other_kinds_crash_nothing(sqlite: StorageUrl):
    run_one(open_study(sqlite, PLAN).study, PLAN)
    for parameter in (
        {"type": "categorical", "choices": ["small", "large", "huge"]},
        {"type": "int", "low": 1, "high": 3},
    ):
        plan = toy_plan({**SPACE, "model": {"size": parameter}})
        run_one(open_study(sqlite, plan).study, plan)
    assert len(open_storage(sqlite).get_all_studies()) == 3


def test_many_differences_are_cut_short(sqlite: StorageUrl):
    open_study(sqlite, PLAN)
    opened = open_study(sqlite, toy_plan({"y": {"type": "float", "low": 0.0, "high": 1.0}}))
    assert len(opened.notes) == 1 + 6
    assert opened.notes[-1].startswith("  and ")


def test_another_stage_is_no_older_study(sqlite: StorageUrl):
    open_study(sqlite, toy_plan(stage="test"))
    assert "because" not in open_study(sqlite, PLAN).notes[0]


def test_a_study_whose_maker_died_at_once_is_made_good(sqlite: StorageUrl):
    optuna.create_study(study_name=study_name(PLAN), storage=sqlite.url, direction="maximize")
    opened = open_study(sqlite, PLAN)
    assert opened.study.user_attrs["identity"]["epochs"] == 3


def test_an_unknown_study_is_named_with_those_that_exist(sqlite: StorageUrl):
    open_study(sqlite, PLAN)
    with pytest.raises(ArtifactError, match=rf"no study 'gone'; it has: {study_name(PLAN)}"):
        load_study(sqlite, "gone")


# ---- after a kill -------------------------------------------------------------------------------


def test_trials_of_dead_processes_wait_again_and_finished_ones_stay(ref: StorageUrl):
    study = open_study(ref, PLAN).study
    run_one(study, PLAN)
    dead, alive = begin(study, PLAN, DEAD), begin(study, PLAN)

    assert recover(study, max_retries=3, grace_seconds=60) == 1

    states = {trial.number: trial.state for trial in read_trials(study)}
    assert states == {0: "complete", 1: "lost", 2: "running", 3: "waiting"}
    assert study.trials[3].params == dead.params
    assert alive.number == 2
    assert recover(study, max_retries=3, grace_seconds=60) == 0


def test_what_was_killed_for_a_reason_has_failed_whoever_finds_it(sqlite: StorageUrl):
    study = open_study(sqlite, PLAN).study
    begin(study, PLAN, DEAD)
    recover(study, max_retries=3, grace_seconds=60, condemned={0: "took too long"})
    assert [(one.state, one.reason) for one in read_trials(study)] == [("failed", "took too long")]


def test_a_trial_of_another_machine_is_lost_when_it_falls_silent(sqlite: StorageUrl):
    study = open_study(sqlite, PLAN).study
    silent, beats = begin(study, PLAN, ELSEWHERE), begin(study, PLAN, ELSEWHERE)
    for trial in (silent, beats):
        with beating(study, trial, ref=sqlite):
            pass
    assert recover(study, max_retries=3, grace_seconds=60) == 0

    storage, trial_id = trial_in_storage(study, silent.number)
    storage.set_trial_user_attr(trial_id, BEAT, time.time() - 2000.0)  # another clock, or gone
    assert recover(study, max_retries=3, grace_seconds=60) == 1
    assert [trial.state for trial in read_trials(study)] == ["lost", "running", "waiting"]
    assert read_trials(study)[0].reason.startswith("no heartbeat from another-machine:")


def test_a_trial_that_nobody_signed_is_lost_after_the_grace(sqlite: StorageUrl):
    study = open_study(sqlite, PLAN).study
    study.ask()
    assert recover(study, max_retries=3, grace_seconds=60) == 0
    _set_back(sqlite, "UPDATE trials SET datetime_start=?", _ago(61))
    assert recover(study, max_retries=3, grace_seconds=60) == 1


def test_a_lost_trial_that_was_never_queued_again_is_queued(sqlite: StorageUrl, monkeypatch):
    study = open_study(sqlite, PLAN).study
    begin(study, PLAN, DEAD)

    def be_killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("seqtune.tuning.studies.records.queue_again", be_killed)
        with pytest.raises(KeyboardInterrupt):
            recover(study, max_retries=3, grace_seconds=60)
    assert recover(study, max_retries=3, grace_seconds=60) == 0

    _set_back(sqlite, "UPDATE trials SET datetime_complete=?", _ago(61))
    study = load_study(sqlite, study.study_name)
    assert recover(study, max_retries=3, grace_seconds=60) == 1
    assert [trial.state for trial in read_trials(study)] == ["lost", "waiting"]
    assert recover(study, max_retries=3, grace_seconds=60) == 0


def _set_back(ref: StorageUrl, statement: str, value: object) -> None:
    database = sqlite3.connect(ref.file)
    with database:
        database.execute(statement, (value,))
    database.close()


def _ago(seconds: int) -> str:
    return (datetime.now() - timedelta(seconds=seconds)).isoformat(sep=" ")


# ---- trials from elsewhere ----------------------------------------------------------------------


def foreign(file: Path, plan=PLAN, *, name: str = "theirs", values=(0.1, 0.9)) -> Path:
    study = optuna.create_study(
        study_name=name, storage=f"sqlite:///{file}", directions=plan.scoring.directions
    )
    for value in values:
        run_one(study, plan, value)
    study.tell(begin(study, plan), state=optuna.trial.TrialState.FAIL)
    return file


def warmed(ref: StorageUrl, source: Path | str, plan=PLAN) -> tuple[str, StoredStudy]:
    """What a warm start from there says, and the study that it went into."""
    plan = replace(plan, warm_start=str(source))
    study = open_study(ref, plan).study
    return warm_start(study, plan, ref), study


def test_trials_of_a_study_that_fits_are_learnt_from_and_do_not_count(ref, tmp_path):
    file = foreign(tmp_path / "theirs.db")
    before = file.read_bytes()

    said, study = warmed(ref, file)

    assert said == "learning from theirs: 2 trials"
    assert file.read_bytes() == before
    assert [trial.value for trial in study.trials] == [0.1, 0.9]
    assert study.best_value == 0.9
    assert count(study).finished == 0
    assert read_trials(study) == []
    imported = [to_trial(trial) for trial in study.trials]
    assert {trial.origin for trial in imported} == {"imported"}

    assert len(warmed(ref, file)[1].trials) == 2
    run_one(study, PLAN)  # the sampler's space is that of the imported trials


def test_trials_outside_the_ranges_are_left_out_and_that_is_said(sqlite, tmp_path):
    plan = toy_plan({**SPACE, "x": {"type": "float", "low": 5.0, "high": 6.0}})
    file = foreign(tmp_path / "theirs.db", values=(0.5,))
    shutil.copy(file, tmp_path / "mixed.db")
    study = optuna.load_study(study_name="theirs", storage=f"sqlite:///{tmp_path / 'mixed.db'}")
    study.enqueue_trial({"x": 5.5})
    run_one(study, plan)

    said, _ = warmed(sqlite, tmp_path / "mixed.db", plan)
    assert said == "learning from theirs: 1 trials; 1 of 2 complete trials lie outside"

    with pytest.raises(TuningError) as caught:
        warmed(sqlite, file, plan)
    assert "none of its 1 complete trials lies within this space; x: [-1.0, 1.0] there" in str(
        caught.value
    )


def test_all_that_does_not_fit_is_named(sqlite, tmp_path):
    other = toy_plan(
        {
            "model": {"size": {"type": "int", "low": 1, "high": 3}},
            "training": {"rate": {"type": "float", "low": 0.1, "high": 1.0}},
            "x": SPACE["x"],
        }
    )
    file = tmp_path / "theirs.db"
    study = optuna.create_study(study_name="theirs", storage=f"sqlite:///{file}")
    run_one(study, other)

    with pytest.raises(TuningError) as caught:
        warmed(sqlite, file)

    assert (
        "directions: it has minimize; this study has maximize; "
        "training.rate: searched there, not here; did you mean 'training.lr'?; "
        "training.lr: searched here, not there; "
        "model.size: int there, categorical here. Name a study that fits"
    ) in str(caught.value)


def test_a_journal_is_read_too(sqlite, tmp_path):
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "theirs.log"))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(study_name="theirs", storage=storage, direction="maximize")
    run_one(study, PLAN)

    assert warmed(sqlite, tmp_path / "theirs.log")[0] == "learning from theirs: 1 trials"

    (tmp_path / "text.log").write_text("hello\n")
    with pytest.raises(ArtifactError, match=r"text\.log holds no study"):
        read_foreign(tmp_path / "text.log")


def test_a_file_of_several_studies_does_not_say_which_is_meant(tmp_path):
    file = foreign(tmp_path / "theirs.db")
    foreign(file, name="others")
    with pytest.raises(ArtifactError, match=r"several studies \(others, theirs\); copy the one"):
        read_foreign(file)


def test_a_finished_study_warms_another_one_up(ref: StorageUrl):
    first = open_study(ref, toy_plan(stage="test")).study
    run_one(first, PLAN, 0.8)

    said, study = warmed(ref, first.study_name)
    again, _ = warmed(ref, first.study_name)

    assert said == again == f"learning from {first.study_name}: 1 trials"
    assert [trial.value for trial in study.trials] == [0.8]
    assert warm_start(study, PLAN, ref) == ""


def test_a_warm_start_that_does_not_fit_stops(sqlite: StorageUrl):
    other = toy_plan({"y": SPACE["x"]})
    first = open_study(sqlite, other).study
    run_one(first, other)
    with pytest.raises(TuningError, match=r"warm_start='toy-quick-.*y: searched there, not here"):
        warmed(sqlite, first.study_name)


def test_fixed_values_fit_where_they_are_equal(sqlite: StorageUrl, tmp_path: Path):
    file = foreign(tmp_path / "theirs.db", values=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    theirs = read_foreign(file)
    small = [trial for trial in theirs.trials if trial.params["model.size"] == "small"]
    plan = toy_plan({key: SPACE[key] for key in ("training", "x")}, fixed={"model.size": "small"})
    said, _ = warmed(sqlite, file, plan)
    complete = sum(trial.state.name == "COMPLETE" for trial in small)
    assert said.startswith(f"learning from theirs: {complete} trials")
