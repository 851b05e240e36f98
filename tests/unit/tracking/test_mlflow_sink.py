"""MLflow itself, on a SQLite file: what is in it afterwards, and what happens when it breaks."""

from __future__ import annotations

import logging
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtune.tracking import Record, Tracker
from seqtune.tracking.database import require_writable, under
from seqtune.tracking.mlflow_run import PROCESS, end_stale_runs, own_process
from seqtune.tracking.mlflow_sink import MlflowSink, legal
from seqtune.tracking.silence_mlflow import quietly, set_up_quietly

STAGE = "recommend.tune.quick"
TRIAL = Record(
    "training",
    STAGE,
    name="trial 0",
    group="study-1",
    params={"training.lr": 0.01, "model.side": None, "on": True},
    metrics={"val_ndcg@10": 0.5, "score": 0.5},
    series={"epoch/val_ndcg@10": {1: 0.25, 2: 0.5}},
    tags={"state": "complete", "reason": "mysql://eve:hunter2@db/x"},
    started=1_700_000_000.0,
    seconds=10.0,
)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def client(uri: str) -> Any:
    set_up_quietly()
    with quietly():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri)


class Run:
    """A parent run in an experiment of its own, and a sink below it."""

    def __init__(self, client: Any, folder: Path) -> None:
        self.client = client
        name = str(folder)
        known = client.get_experiment_by_name(name)
        self.experiment = (
            known.experiment_id if known else client.create_experiment(name, folder.as_uri())
        )
        self.id = client.create_run(self.experiment).info.run_id
        self.sink = MlflowSink(
            client,
            experiment_id=self.experiment,
            run_id=self.id,
            finish=lambda end: client.set_terminated(self.id, end),
        )

    def below(self, run_id: str) -> dict[str, Any]:
        children = f"tags.`mlflow.parentRunId` = '{run_id}'"
        found = self.client.search_runs([self.experiment], children)
        return {run.info.run_name: run for run in found}

    def stage(self, name: str = STAGE) -> Any:
        return self.below(self.id)[name]

    def whole(self) -> Any:
        return self.client.get_run(self.id)


@pytest.fixture
def run(client: Any, tmp_path: Path) -> Iterator[Run]:
    with quietly():
        yield Run(client, tmp_path)


def test_trial_is_nested_under_its_stage_and_the_stage_under_the_run(run: Run) -> None:
    run.sink.log([TRIAL])
    run.sink.close("FINISHED", "")

    stage = run.stage()
    trial = run.below(stage.info.run_id)["trial 0"]
    assert trial.data.params == {"training.lr": "0.01", "model.side": "null", "on": "true"}
    assert trial.data.metrics["val_ndcg_at_10"] == 0.5
    assert trial.data.tags["state"] == "complete"
    assert trial.info.end_time - trial.info.start_time == 10_000
    assert {stage.info.status, trial.info.status, run.whole().info.status} == {"FINISHED"}


def test_curve_has_a_value_for_every_epoch_and_time_goes_on(run: Run, client: Any) -> None:
    run.sink.log([TRIAL])

    trial = run.below(run.stage().info.run_id)["trial 0"]
    curve = client.get_metric_history(trial.info.run_id, "epoch/val_ndcg_at_10")
    assert [(point.step, point.value) for point in curve] == [(1, 0.25), (2, 0.5)]
    assert curve[1].timestamp - curve[0].timestamp == 5_000


def test_password_in_a_tag_is_not_written(run: Run, uri: str) -> None:
    run.sink.log([TRIAL, Record("run", note=["see mysql://eve:hunter2@db/x"])])
    run.sink.close("FAILED", "StorageError: mysql://eve:hunter2@db/x")

    assert "(hidden)" in run.whole().data.tags["error"]
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        assert "hunter2" not in "\n".join(connection.iterdump())
    connection.close()


def test_lines_of_several_nodes_make_one_list_that_is_no_markdown(run: Run) -> None:
    for line in ("quick: 4 *complete*", "best <script>alert(1)</script> & val_x"):
        run.sink.log([Record("stage", STAGE, note=[line])])

    assert run.stage().data.tags["mlflow.note.content"].splitlines() == [
        r"- quick: 4 \*complete\*",
        r"- best &lt;script&gt;alert(1)&lt;/script&gt; &amp; val\_x",
    ]


def test_files_and_folders_are_kept(run: Run, client: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "best.yml").write_text("lr: 1")
    run.sink.log([Record("run", files={"configuration": [tmp_path / "in" / "best.yml"]})])

    (kept,) = client.list_artifacts(run.id, "configuration")
    assert kept.path == "configuration/best.yml"


def test_more_than_fits_into_one_call_is_written_in_several(run: Run) -> None:
    many = replace(
        TRIAL,
        params={f"p.{number}": number for number in range(250)},
        metrics={f"m.{number}": number for number in range(2100)},
        tags={f"t.{number}": "x" for number in range(120)},
    )
    run.sink.log([many])

    data = run.below(run.stage().info.run_id)["trial 0"].data
    assert len(data.params) == 250
    assert len(data.metrics) == 2100 + 1
    assert sum(tag.startswith("t.") for tag in data.tags) == 120


def test_a_study_that_gained_nothing_is_not_written_twice(client: Any, tmp_path: Path) -> None:
    with quietly():
        first, second = Run(client, tmp_path), Run(client, tmp_path)
        first.sink.log([TRIAL])
        second.sink.log([replace(TRIAL, is_new=False)])

    stage = second.stage()
    assert second.below(stage.info.run_id) == {}
    assert stage.data.tags["trials_in"] == first.stage().info.run_id
    assert "study-1: nothing new" in stage.data.tags["mlflow.note.content"]


def test_a_study_that_went_on_is_written_as_a_whole(client: Any, tmp_path: Path) -> None:
    earlier, later = replace(TRIAL, is_new=False), replace(TRIAL, name="trial 1")
    with quietly():
        first, second = Run(client, tmp_path), Run(client, tmp_path)
        first.sink.log([TRIAL])
        second.sink.log([earlier, later])

    assert set(second.below(second.stage().info.run_id)) == {"trial 0", "trial 1"}


def test_a_study_that_nobody_wrote_down_is_written_even_if_it_is_old(run: Run) -> None:
    run.sink.log([replace(TRIAL, is_new=False)])

    assert set(run.below(run.stage().info.run_id)) == {"trial 0"}


def test_failed_stage_is_failed_and_the_others_are_not(run: Run) -> None:
    run.sink.log([Record("stage", "split", started=time.time())])
    run.sink.log([Record("stage", STAGE, started=time.time())])
    run.sink.log([Record("stage", STAGE, end="KILLED", tags={"error": "Ctrl-C"})])
    run.sink.close("KILLED", "Ctrl-C")

    ends = {name: stage.info.status for name, stage in run.below(run.id).items()}
    assert ends == {"split": "FINISHED", STAGE: "KILLED"}
    assert run.whole().info.status == "KILLED"


@pytest.mark.slow
def test_database_that_goes_away_in_mid_run_costs_one_warning(
    uri: str, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow import MlflowClient

    assert client.search_experiments()
    file = Path(shutil.copy(uri.removeprefix("sqlite:///"), tmp_path))
    with quietly():
        run = Run(MlflowClient(tracking_uri=f"sqlite:///{file}"), tmp_path / "files")
    tracker = Tracker([run.sink])
    tracker.log(TRIAL)
    for leftover in tmp_path.glob("mlflow.db*"):
        leftover.unlink()
    file.write_bytes(b"this is no database" * 1000)

    begun = time.monotonic()
    with caplog.at_level(logging.WARNING):
        tracker.log(replace(TRIAL, name="trial 1"))
        tracker.log(replace(TRIAL, name="trial 2"))
        tracker.close("FINISHED")

    (warning,) = [one for one in caplog.messages if "left out" in one]
    assert warning.startswith("MLflow is left out for the rest of this run: MlflowException")
    assert time.monotonic() - begun < 60  # and not MLflow's minute and a half of trying


def test_runs_of_dead_processes_are_ended_and_those_of_living_ones_are_not(
    client: Any, tmp_path: Path
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with quietly():
        runs = {name: Run(client, tmp_path) for name in ("killed", "own", "elsewhere", "unknown")}
        host = socket.gethostname()
        client.set_tag(runs["killed"].id, PROCESS, f"{host}:{gone.pid}")
        client.set_tag(runs["own"].id, PROCESS, own_process())
        client.set_tag(runs["elsewhere"].id, PROCESS, f"not-{host}:{gone.pid}")
        runs["killed"].sink.log([Record("stage", STAGE)])

        assert end_stale_runs(client, runs["own"].experiment) == 1

    assert {name: run.whole().info.status for name, run in runs.items()} == {
        "killed": "KILLED",
        "own": "RUNNING",
        "elsewhere": "RUNNING",
        "unknown": "RUNNING",
    }
    assert runs["killed"].stage().info.status == "KILLED"


@pytest.mark.parametrize("kind", ["folder", "no database"])
def test_database_that_cannot_be_written_is_known_at_once(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "mlflow.db"
    if kind == "folder":
        file.mkdir()
    else:
        file.write_text("this is no database, and never was one" * 100)

    with pytest.raises(sqlite3.Error):
        require_writable(f"sqlite:///{file}")


def test_asking_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "mlflow.db"
    require_writable(f"sqlite:///{file}")

    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []
    connection.close()


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("sqlite:///data/x.db", "sqlite:////project/data/x.db"),
        ("sqlite:////mnt/x.db", "sqlite:////mnt/x.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_relative_database_is_below_the_project(uri: str, meant: str) -> None:
    assert under(Path("/project"), uri) == meant


def test_names_are_changed_to_what_mlflow_takes() -> None:
    assert legal("test/ndcg@10 markov") == "test/ndcg_at_10 markov"
    assert legal("a(b)[c]") == "a_b__c_"
