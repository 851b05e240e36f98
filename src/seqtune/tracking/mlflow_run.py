"""Start an MLflow run as `mlflow.yml` says, such that no fault of it ends a run of Kedro."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from pydantic import ValidationError

from seqtune.core.config import Section
from seqtune.core.errors import ConfigurationError

from .database import require_writable, under
from .mlflow_sink import PARENT, MlflowSink
from .silence_mlflow import quiet_loggers, quietly
from .tracker import warn

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

PROCESS = "process"
"""Tag of a run: `host:pid` of the process that writes it."""


class ServerConfig(Section):
    mlflow_tracking_uri: str


class CreateExperimentConfig(Section):
    artifact_location: str | None = None
    tags: dict[str, str] | None = None


class ExperimentConfig(Section):
    name: str = "seqtune"
    create_experiment_kwargs: CreateExperimentConfig = CreateExperimentConfig()


class ExperimentSection(Section):
    experiment: ExperimentConfig = ExperimentConfig()


class MlflowConfig(Section):
    """The content of `mlflow.yml`."""

    server: ServerConfig
    tracking: ExperimentSection = ExperimentSection()


def start_mlflow(
    load_conf: Callable[[], Mapping[str, Any]], *, project: Path, name: str
) -> MlflowSink | None:
    """Start an MLflow run of that name; if that fails, warn and return None."""
    try:
        with quietly():
            return _start(read_config(load_conf()), project, name)
    except Exception as error:  # noqa: BLE001  # no fault may end the run
        warn("MLflow", error, switch=MlflowSink.switch)
        if (mlflow := sys.modules.get("mlflow")) is not None:
            with suppress(Exception):  # at exit, MLflow would mark the run as finished
                mlflow.end_run("FAILED")
        return None


def _start(config: MlflowConfig, project: Path, name: str) -> MlflowSink:
    uri = under(project, config.server.mlflow_tracking_uri)
    require_writable(uri)
    import mlflow

    quiet_loggers()
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment_id = open_experiment(client, config.tracking.experiment, project).experiment_id
    mlflow.set_experiment(experiment_id=experiment_id)
    run = mlflow.start_run(
        experiment_id=experiment_id, run_name=name, tags={PROCESS: own_process()}
    )
    end_stale_runs(client, experiment_id)
    return MlflowSink(
        client, experiment_id=experiment_id, run_id=run.info.run_id, finish=mlflow.end_run
    )


def read_config(conf: Mapping[str, Any]) -> MlflowConfig:
    try:
        return MlflowConfig.model_validate(conf)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigurationError(f"mlflow.yml: {'; '.join(faults)}") from error


def open_experiment(client: MlflowClient, config: ExperimentConfig, project: Path) -> Experiment:
    """Return the experiment of that name; create or restore it if necessary."""
    wanted = config.create_experiment_kwargs.artifact_location
    if wanted and not urlparse(wanted).scheme:
        wanted = (project / wanted).as_uri()
    experiment = client.get_experiment_by_name(config.name)
    if experiment is None:
        tags: dict[str, Any] | None = config.create_experiment_kwargs.tags
        return client.get_experiment(client.create_experiment(config.name, wanted, tags))
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    found = experiment.artifact_location
    if wanted and found != wanted and found.startswith("file:"):  # MLflow keeps absolute paths
        raise ConfigurationError(
            f"the experiment {config.name!r} keeps its files in {found}, not in {wanted}: the "
            "project was moved or copied. Name another one in conf/local/mlflow.yml (tracking: "
            f"{{experiment: {{name: {config.name}-2}}}}), or remove the tracking folder"
        )
    return experiment


def own_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def end_stale_runs(client: MlflowClient, experiment_id: str) -> int:
    """Mark as KILLED the RUNNING runs of dead processes of this machine; return their number."""
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    dead = {run.info.run_id for run in running if _is_dead(run.data.tags.get(PROCESS, ""))}
    stages = {run.info.run_id for run in running if run.data.tags.get(PARENT) in dead}
    for run_id in dead | stages:
        client.set_terminated(run_id, "KILLED")
    return len(dead)


def _is_dead(process: str) -> bool:
    import psutil

    host, _, number = process.rpartition(":")
    if host != socket.gethostname() or not number.isdecimal():
        return False  # of another machine, or not written by seqtune
    return not psutil.pid_exists(int(number))
