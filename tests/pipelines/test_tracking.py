"""What MLflow holds after `kedro run`: what the catalog holds, and never more than it may."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from kedro_results import newest, read_newest
from seqtune.tracking.mlflow_sink import legal
from seqtune.tracking.silence_mlflow import quietly, set_up_quietly

Kedro = Callable[..., "subprocess.CompletedProcess[str]"]
ROWS = [f"{user},i{(user + step) % 12},{step}" for user in range(40) for step in range(9)]
NODES = ("prepare_search", "tune_test")
PASSWORD = "hunter2"  # noqa: S105  # planted, to be looked for
TRACKING = "data/09_tracking"


# ---- the whole chain ------------------------------------------------------------------------


class Runs:
    """The runs of a database, as a tree of names."""

    def __init__(self, project: Path) -> None:
        from mlflow import MlflowClient

        self.uri = f"sqlite:///{project / TRACKING}/mlflow.db"
        self.client = MlflowClient(tracking_uri=self.uri)
        (experiment,) = self.client.search_experiments(filter_string="name = 'seqtune'")
        self.all = self.client.search_runs([experiment.experiment_id], max_results=1000)

    def below(self, run: Any) -> dict[str, Any]:
        return {r.info.run_name: r for r in self.all if parent(r) == run.info.run_id}

    @property
    def parent(self) -> Any:
        (run,) = [run for run in self.all if parent(run) is None]
        return run

    def stage(self, name: str) -> Any:
        return self.below(self.parent)[f"recommend.{name}"]

    def curve(self, run: Any, name: str) -> dict[int, float]:
        points = self.client.get_metric_history(run.info.run_id, legal(name))
        return {point.step: point.value for point in points}

    def artifact(self, run: Any, path: str) -> bytes:
        folder = run.info.artifact_uri.removeprefix("file://")
        return (Path(folder) / path).read_bytes()


def parent(run: Any) -> str | None:
    found: str | None = run.data.tags.get("mlflow.parentRunId")
    return found


@pytest.fixture(scope="module")
def runs(finished_project: Path) -> Iterator[Runs]:
    set_up_quietly()
    with quietly():
        yield Runs(finished_project)


def test_one_run_holds_a_run_for_each_stage(runs: Runs) -> None:
    assert runs.parent.info.run_name == "__default__"
    assert runs.parent.info.status == "FINISHED"
    stages = {name.removeprefix("recommend.") for name in runs.below(runs.parent)}
    assert stages == {
        "ingest",
        "split",
        "verify_env",
        "tune.test",
        "tune.quick",
        "tune.medium",
        "tune.best",
        "tune.seed",
        "train",
        "ensemble",
        "predict",
    }


@pytest.mark.parametrize("stage", ["test", "quick", "medium"])
def test_every_trial_of_the_table_is_a_run_with_its_numbers(
    runs: Runs, finished_project: Path, stage: str
) -> None:
    table = pd.read_parquet(newest(finished_project, f"{stage}_trials.parquet"))
    tracked = runs.below(runs.stage(f"tune.{stage}"))

    assert set(tracked) == {f"trial {number}" for number in table["number"]}
    for row in table.to_dict(orient="records"):
        run = tracked[f"trial {row['number']}"]
        assert run.data.metrics["score"] == row["score"]
        assert run.data.params == {k: as_text(v) for k, v in json.loads(row["params"]).items()}
        for name, value in json.loads(row["metrics"]).items():
            assert run.data.metrics[legal(name)] == value
        curve = {int(epoch): value for epoch, value in json.loads(row["curve"]).items()}
        assert runs.curve(run, "epoch/val_ndcg@10") == curve
        assert run.data.tags["study"] == row["study"]
        assert run.data.tags["state"] == row["state"]
        assert run.data.metrics["peak_memory_mib"] > 0


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def test_training_has_the_curves_of_its_history(runs: Runs, finished_project: Path) -> None:
    folder = newest(finished_project, "checkpoint")
    history = json.loads((folder / "history.json").read_text())
    train = runs.stage("train")

    for name in set(history[0]) - {"epoch"}:
        expected = {row["epoch"]: row[name] for row in history}
        assert runs.curve(train, f"epoch/{name}") == expected, name


def test_run_has_the_configuration_and_the_metrics_to_compare_it_by(
    runs: Runs, finished_project: Path
) -> None:
    config = read_newest(finished_project, "config.json")["values"]
    metrics = read_newest(finished_project, "metrics.json")["parts"]["test"]["full_ranking"]

    expected = {f"recommend.{key}": as_text(entry["value"]) for key, entry in config.items()}
    assert runs.parent.data.params == expected
    for name, row in metrics.items():
        assert runs.parent.data.metrics[f"test/{legal(name)}"] == row["model"]
        stage = runs.stage("train").data.metrics
        assert stage[f"test/{legal(name)} markov"] == row["markov"]


def test_ensemble_has_a_run_for_each_member(runs: Runs, finished_project: Path) -> None:
    manifest = json.loads((newest(finished_project, "ensemble") / "ensemble.json").read_text())
    weights = {m["name"]: m["weight"] for m in manifest["members"] if m["weight"] > 0}

    members = runs.below(runs.stage("ensemble"))

    assert {name: run.data.metrics["weight"] for name, run in members.items()} == weights
    for run in members.values():
        is_trained = run.data.tags["member"] == "network"
        assert bool(runs.curve(run, "epoch/train_loss")) == is_trained
    report = read_newest(finished_project, "ensemble_metrics.json")["parts"]["test"]["full_ranking"]
    found = runs.parent.data.metrics["ensemble/test/ndcg_at_10"]
    assert found == report["ndcg@10"]["model"]


def test_report_figures_and_best_config_are_the_files_of_the_catalog(
    runs: Runs, finished_project: Path
) -> None:
    for run, path in (
        (runs.parent, "report/run_report.html"),
        (runs.stage("tune.quick"), "figures/quick_history_figure.json"),
        (runs.stage("tune.quick"), "reports/tune_quick_report.json"),
        (runs.stage("tune.quick"), "trials/quick_trials.parquet"),
        (runs.stage("tune.best"), "configuration/best_config.yml"),
    ):
        name = Path(path).name
        assert runs.artifact(run, path) == newest(finished_project, name).read_bytes(), path


def test_model_that_is_loaded_gives_what_the_recommender_gives(
    runs: Runs, finished_project: Path
) -> None:
    with quietly():
        import mlflow

    from seqtune import Recommender

    recommender = Recommender.load(newest(finished_project, "ensemble"))
    histories = [["song 1", "song 2"], [], ["<script>alert(1)</script>", 'R&B "hits"']]
    mlflow.set_tracking_uri(runs.uri)

    with quietly():
        model = mlflow.pyfunc.load_model(runs.parent.data.tags["model"])
        answers = model.predict(pd.DataFrame({"items": histories}), params={"k": 3})

    expected = recommender.recommend(histories, 3)
    assert answers == [[line._asdict() for line in lines] for lines in expected]
    (ten, *_) = model.predict(pd.DataFrame({"items": histories}))
    assert [line["item"] for line in ten] == [
        line.item for line in recommender.recommend(histories)[0]
    ]


def test_model_is_code_and_weights_and_no_pickle(runs: Runs, finished_project: Path) -> None:
    kept = sorted((finished_project / TRACKING / "mlflow" / "models").rglob("*"))
    suffixes = {file.suffix for file in kept if file.is_file()}

    assert len(list((finished_project / TRACKING / "mlflow" / "models").glob("m-*"))) == 1
    assert suffixes <= {"", ".py", ".txt", ".yaml", ".json", ".safetensors", ".npy", ".parquet"}


def test_terminal_hears_one_line_of_it(finished_project: Path, runs: Runs) -> None:
    said = (finished_project / "said.txt").read_text()

    lines = [line for line in said.splitlines() if "mlflow" in line.lower()]
    assert len(lines) == 1, lines
    assert f"MLflow: run {runs.parent.info.run_id}, `make mlflow` shows it" in lines[0]
    assert not any(word in said for word in ("alembic", "Warning:", "View run"))


# ---- switches and faults --------------------------------------------------------------------


@pytest.fixture
def raw(project: Path) -> Path:
    file = project / "data/01_raw/recommend/interactions.csv"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(["user,item,time", *ROWS, ""]))
    return project


@pytest.fixture
def tracked(kedro_with: Callable[..., Kedro], raw: Path) -> Kedro:
    return kedro_with(raw, tracking="on")


@pytest.fixture
def with_tables(finished_project: Path, raw: Path) -> Path:
    """A project whose tracking database is there, without runs: making one takes MLflow seconds."""
    copy_tables(finished_project, raw)
    return raw


def copy_tables(finished: Path, project: Path) -> None:
    file = project / TRACKING / "mlflow.db"
    file.parent.mkdir(parents=True)
    shutil.copy(finished / TRACKING / "mlflow.db", file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE experiments SET name = 'another' WHERE name = 'seqtune'")
        connection.execute("DELETE FROM tags")
        connection.execute("DELETE FROM runs")
    connection.close()


def statuses(project: Path) -> dict[str, str]:
    with sqlite3.connect(project / TRACKING / "mlflow.db") as connection:
        found = connection.execute("SELECT name, status FROM runs").fetchall()
    connection.close()
    return dict(found)


RUN_AND_REPORT = """
import contextlib, sys
from kedro.framework.cli import main
sys.argv = ["kedro", "run", "--pipelines", "ingest", *sys.argv[1:]]
with contextlib.suppress(SystemExit):
    main()
print("imported", sorted({"mlflow", "sqlalchemy", "wandb"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("variable", "arguments"), [("off", []), ("on", ["--params", "tracking.mlflow=false"])]
)
def test_switched_off_nothing_is_written_and_mlflow_is_not_even_imported(
    raw: Path, variable: str, arguments: list[str]
) -> None:
    said = in_process(raw, RUN_AND_REPORT, *arguments, SEQTUNE_TRACKING=variable).stdout

    assert newest(raw, "ingest_report.json").is_file()
    assert said.splitlines()[-1] == "imported []"
    assert "MLflow" not in said
    assert not (raw / TRACKING).exists()


def in_process(
    project: Path, code: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    src = Path(__file__).resolve().parents[2] / "src"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(src), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_misspelt_parameter_is_refused_before_anything_runs(tracked: Kedro, raw: Path) -> None:
    result = tracked("run", "--pipelines", "ingest", "--params", "tracking.mlfow=false")

    assert result.returncode == 1
    assert "tracking.mlfow is not a parameter; did you mean 'mlflow'?" in result.stderr
    assert not (raw / "data/02_intermediate").exists()


@pytest.mark.parametrize("kind", ["folder", "no database"])
def test_broken_database_does_not_fail_a_run(tracked: Kedro, raw: Path, kind: str) -> None:
    database = raw / TRACKING / "mlflow.db"
    if kind == "folder":
        database.mkdir(parents=True)
    else:
        database.parent.mkdir(parents=True)
        database.write_text("never was one" * 1000)

    result = tracked("run", "--pipelines", "ingest")

    assert result.returncode == 0, result.stdout + result.stderr
    said = result.stdout + result.stderr
    assert said.count("MLflow is left out for the rest of this run") == 1
    assert "--params tracking.mlflow=false" in said
    assert "Traceback" not in said


MEDDLED = """
import sys
from pathlib import Path
from kedro.framework.hooks import hook_impl
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

class Meddler:
    @hook_impl(trylast=True)
    def before_node_run(self, node):
        if node.name.endswith(".split"):
            exec(sys.argv[1])

bootstrap_project(Path.cwd())
session = KedroSession.create()
session._hook_manager.register(Meddler())
session.run(pipeline_names=["ingest", "split"])
"""


def meddle(project: Path, what: str) -> subprocess.CompletedProcess[str]:
    """A run of ingest and split, with something done to it between the two."""
    return in_process(project, MEDDLED, what, SEQTUNE_TRACKING="on")


def test_database_lost_in_mid_run_does_not_fail_the_run(with_tables: Path) -> None:
    lost = f"Path('{TRACKING}/mlflow.db').write_bytes(b'overwritten' * 99999)"

    result = meddle(with_tables, lost)

    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert said.count("is left out for the rest of this run") == 1
    assert "Traceback" not in said
    assert newest(with_tables, "split_report.json").is_file()


def test_stopped_by_hand_the_run_is_killed_and_not_a_success(
    with_tables: Path,
) -> None:
    result = meddle(with_tables, "raise KeyboardInterrupt")

    assert result.returncode != 0
    assert statuses(with_tables) == {
        "ingest+split": "KILLED",
        "recommend.ingest": "FINISHED",
        "recommend.split": "KILLED",
    }


def test_failed_run_says_where_and_why_and_hides_passwords(
    kedro_with: Callable[..., Kedro], finished_project: Path, project: Path
) -> None:
    without = shutil.ignore_patterns("09_tracking")
    shutil.copytree(finished_project, project, ignore=without, dirs_exist_ok=True)
    copy_tables(finished_project, project)
    url = f"postgresql://eve:{PASSWORD}@127.0.0.1:1/none?application_name={PASSWORD}"
    kedro = kedro_with(project, tracking="on", SEQTUNE_STUDY_URL=url)

    result = kedro(
        "run", "--nodes", "recommend.tune.test.prepare_search,recommend.tune.test.tune_test"
    )

    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert statuses(project) == {"__default__": "FAILED", "recommend.tune.test": "FAILED"}
    with sqlite3.connect(project / TRACKING / "mlflow.db") as connection:
        errors = connection.execute("SELECT value FROM tags WHERE key = 'error'").fetchall()
    connection.close()
    assert all("PostgreSQL server at 127.0.0.1:1" in error for (error,) in errors)
    assert len(errors) == 2
    assert PASSWORD not in said
    for file in (project / TRACKING).rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


def test_copied_project_does_not_write_into_the_first_one(
    kedro_with: Callable[..., Kedro], finished_project: Path, project: Path
) -> None:
    without = shutil.ignore_patterns("mlflow", "0[2-8]_*")
    shutil.copytree(finished_project, project, ignore=without, dirs_exist_ok=True)
    before = statuses(finished_project)
    kedro = kedro_with(project, tracking="on")

    told = kedro("run", "--pipelines", "ingest").stdout
    assert "the project was moved or copied" in told
    assert "conf/local/mlflow.yml" in told

    own = {"tracking": {"experiment": {"name": "second"}}}
    (project / "conf/local/mlflow.yml").write_text(yaml.safe_dump(own))
    assert "MLflow: run" in kedro("run", "--pipelines", "ingest").stdout
    assert statuses(finished_project) == before
    assert list((project / TRACKING / "mlflow").glob("*/artifacts/reports/ingest_report.json"))
