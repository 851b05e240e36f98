"""An MLflow run is begun where mlflow.yml says; whatever is wrong with it is one warning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.errors import ConfigurationError
from seqtune.tracking.mlflow_run import open_experiment, read_config, start_mlflow
from seqtune.tracking.silence_mlflow import quietly, set_up_quietly

CONF: dict[str, Any] = {
    "server": {"mlflow_tracking_uri": "sqlite:///mlflow.db"},
    "tracking": {"experiment": {"create_experiment_kwargs": {"artifact_location": "files"}}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    set_up_quietly()
    with quietly():
        yield tmp_path_factory.mktemp("project")


def test_a_run_is_begun_below_the_project_and_ended_as_the_sink_says(project: Path) -> None:
    import mlflow

    sink = start_mlflow(lambda: CONF, project=project, name="ingest")
    assert sink is not None
    sink.close("KILLED", "")

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db")
    run = client.get_run(sink.run_id)
    assert (run.info.run_name, run.info.status) == ("ingest", "KILLED")
    assert run.info.artifact_uri.startswith((project / "files").as_uri())
    assert mlflow.active_run() is None


def test_a_deleted_experiment_is_restored(project: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db")
    config = read_config(CONF).tracking.experiment
    client.delete_experiment(open_experiment(client, config, project).experiment_id)

    again = open_experiment(client, config, project)
    assert client.get_experiment(again.experiment_id).lifecycle_stage == "active"


def test_unknown_keys_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow\.yml: tracking\.run: Extra inputs"):
        read_config({**CONF, "tracking": {"run": {"nested": False}}})


def test_no_configuration_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def missing() -> dict[str, Any]:
        raise FileNotFoundError("no mlflow.yml")

    with caplog.at_level(logging.WARNING):
        assert start_mlflow(missing, project=tmp_path, name="ingest") is None
    (message,) = caplog.messages
    assert message.startswith("MLflow is left out for the rest of this run: FileNotFoundError")
