"""Tracking of a run while it goes on: MLflow, TensorBoard, Weights & Biases."""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from seqtune.core.errors import Interrupted
from seqtune.core.parameters import RUNTIME, TaskParameters
from seqtune.core.resolve import Layer, resolve
from seqtune.core.secrets import masked
from seqtune.datasets.remote_path import ArtifactPath
from seqtune.pipeline_registry import TASKS
from seqtune.run_report.facts import REPORT, place_of
from seqtune.run_report.run_command import command_line
from seqtune.run_report.tracking_records import RecordBuilder, TrialMetric, stage_of
from seqtune.tracking import Record, Sink, Tracker, TrackingConfig, choose, require_installed
from seqtune.tracking.gpus import GpuMonitor
from seqtune.tracking.records import End
from seqtune.tracking.silence_mlflow import quietly, set_up_quietly

FOLDER = "09_tracking"
ROOT = "tracking"
logger = logging.getLogger(__name__)


class TrackingHooks:
    """Opens the sinks, logs what nodes made, and closes them; a failing sink never ends a run."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._save_version = ""
        self._reset()

    def _reset(self) -> None:
        self._tracker = Tracker()
        self._config = TrackingConfig()
        self._gpus = GpuMonitor(0.0)
        self._builder: RecordBuilder | None = None
        self._copies: TemporaryDirectory[str] | None = None
        self._outputs: dict[str, dict[str, Any]] = {}
        self._model = ""
        self._stage = ""
        self._mlflow_run = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self._context = context

    @hook_impl
    def after_catalog_created(self, save_version: str) -> None:
        self._save_version = save_version

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        self._reset()
        self._config = choose(_read_config(run_params, catalog))
        if self._config.is_off:
            return
        set_up_quietly()
        require_installed(self._config)
        self._tracker = Tracker(self._sinks(run_params))
        if not self._tracker.is_on:
            return
        atexit.register(self._end_at_exit)
        self._gpus = GpuMonitor(self._config.gpu_every_seconds)
        self._gpus.start()
        self._builder = RecordBuilder(
            place=partial(self._find_file, catalog),
            goals=_read_trial_metrics(pipeline, catalog),
            since=time.time(),
            watch=self._gpus,
        )
        self._guard(lambda: self._tracker.log(Record("run", tags=_tags(run_params))))
        self._model = _find_model(pipeline) if self._config.log_model else ""

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        if self._tracker.is_on:
            self._stage = stage_of(node)
            self._tracker.log(Record("stage", self._stage, started=time.time()))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Log a node once all of its outputs are saved: only then are its files in place."""
        if not self._tracker.is_on:
            return
        made = self._outputs.setdefault(node.name, {})
        made[dataset_name] = data
        if len(made) == len(node.outputs):
            self._stage = ""
            self._guard(lambda: self._log_outputs(node, self._outputs.pop(node.name)))

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        self._end("KILLED" if isinstance(error, Interrupted) else "FAILED", error)

    @hook_impl
    def after_pipeline_run(self) -> None:
        self._end("FINISHED")

    def _find_file(self, catalog: DataCatalog, name: str) -> Path | None:
        """Find the file or folder of a saved dataset; object storage is copied to this machine."""
        place = place_of(catalog, name, self._save_version)
        if place is None or isinstance(place, Path):
            return place
        if isinstance(place, ArtifactPath):
            return Path(catalog[name].load())  # in the cache
        if not place.is_file():
            return None
        if self._copies is None:
            self._copies = TemporaryDirectory(prefix="seqtune-")
        copy = Path(self._copies.name) / name / place.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(place.read_bytes())
        return copy

    def _log_outputs(self, node: Node, made: Mapping[str, Any]) -> None:
        assert self._builder is not None  # noqa: S101
        self._tracker.log(*self._builder.records(node, made), *self._gpu_records())
        if made.get(self._model) is not None:
            self._tracker.log(Record("run", model=self._builder.saved_path(self._model)))

    def _gpu_records(self) -> list[Record]:
        news = self._gpus.news()
        return [Record("run", series=news)] if news else []

    def _report_records(self) -> list[Record]:
        """Return the reports of the run, which their own hook has just written."""
        assert self._builder is not None  # noqa: S101
        names = [f"{task.name}.{REPORT}" for task in TASKS]
        places = [place for name in names if (place := self._builder.place(name))]
        return [Record("run", files={"report": [p]}) for p in places if p.exists()]

    def _end(self, end: End, error: BaseException | None = None) -> None:
        atexit.unregister(self._end_at_exit)
        if not self._tracker.is_on:
            return
        self._gpus.stop()
        reason = "" if error is None else f"{type(error).__name__}: {error}"
        if self._stage and error is not None:
            self._tracker.log(Record("stage", self._stage, tags={"error": reason}, end=end))
        self._guard(lambda: self._tracker.log(*self._gpu_records(), *self._report_records()))
        self._tracker.close(end, reason)
        if self._copies is not None:
            self._copies.cleanup()
        if self._mlflow_run and not error:
            logger.info("MLflow: run %s, `make mlflow` shows it", self._mlflow_run)

    def _end_at_exit(self) -> None:
        """End the run at Ctrl-C, for which Kedro calls no hook."""
        self._end("KILLED", KeyboardInterrupt("stopped"))

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            with quietly():
                call()
        except Exception as error:  # noqa: BLE001  # no error of tracking may end the run
            self._tracker.give_up(error)

    def _sinks(self, run_params: Mapping[str, Any]) -> list[Sink]:
        assert self._context is not None  # noqa: S101
        sinks: list[Sink] = []
        if self._config.mlflow:
            from seqtune.tracking.mlflow_run import start_mlflow

            sink = start_mlflow(
                partial(self._context.config_loader.__getitem__, "mlflow"),
                project=Path(self._context.project_path),
                name="+".join(run_params.get("pipeline_names") or ["__default__"]),
            )
            if sink is not None:
                sinks.append(sink)
                self._mlflow_run = sink.run_id
        folder, run = _tracking_folder(self._context), self._save_version
        if self._config.tensorboard:
            from seqtune.tracking.tensorboard_sink import TensorBoardSink

            sinks.append(TensorBoardSink(folder / "tensorboard", run=run))
        if self._config.wandb != "off":
            from seqtune.tracking.wandb_sink import WandbSink

            project, mode = self._config.wandb_project, self._config.wandb
            sinks.append(WandbSink(folder, project=project, mode=mode, run=run))
        return sinks


def _tags(run_params: Mapping[str, Any]) -> dict[str, str]:
    """Describe the arguments of the run, and the command that repeats it."""
    known = {key: str(value) for key, value in masked(run_params).items() if value}
    return {**known, "kedro_command": command_line(run_params)}


def _tracking_folder(context: KedroContext) -> Path:
    folders = context.config_loader["globals"]
    folder = folders.get("tracking") or f"{folders.get('data', 'data')}/{FOLDER}"
    return Path(context.project_path) / str(folder)


def _read_config(run_params: Mapping[str, Any], catalog: DataCatalog) -> TrackingConfig:
    values = catalog["parameters"].load().get(ROOT) or {}
    runtime = (run_params.get("runtime_params") or {}).get(ROOT) or {}
    return resolve(TrackingConfig, Layer("conf", values), Layer(RUNTIME, runtime), root=ROOT).config


def _read_trial_metrics(pipeline: Pipeline, catalog: DataCatalog) -> dict[str, TrialMetric]:
    """Read the metric of each task from its checked parameters."""
    goals = {}
    for task in TASKS:
        name = f"params:{task.name}"
        if name in pipeline.inputs():
            parameters: TaskParameters = catalog[name].load()
            training = parameters.resolve().config.training
            goals[task.name] = TrialMetric(training.monitor, training.monitor_mode)
        engine = f"{name}.tuning"
        if engine in pipeline.inputs() and (several := catalog[engine].load().config.objectives):
            goals[task.name] = TrialMetric(several[0].metric, several[0].mode)
    return goals


def _find_model(pipeline: Pipeline) -> str:
    """Find the dataset to log as the model: the ensemble if the run makes one."""
    names = sorted(pipeline.all_outputs())
    kinds = ("ensemble", "checkpoint")
    return next((n for kind in kinds for n in names if n.rpartition(".")[2] == kind), "")
