"""kedro-mlflow's own hook, held where nothing that it does can end a run."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from seqtune.contracts.errors import ConfigurationError
from seqtune.contracts.secrets import masked
from seqtune.tracking.database import require_writable, under
from seqtune.tracking.quiet import quiet_loggers, quietly, set_up_quietly
from seqtune.tracking.records import End
from seqtune.tracking.tracker import warn

if TYPE_CHECKING:
    from seqtune.tracking.mlflow_sink import MlflowSink

SWITCH = "tracking.mlflow=false"
logger = logging.getLogger(__name__)


def start_mlflow(
    context: KedroContext, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
) -> MlflowSink | None:
    """Begin an MLflow run; None, with a warning, where that cannot be."""
    try:
        with quietly():
            return _start(context, masked(run_params), pipeline, catalog)
    except Exception as error:  # noqa: BLE001  # whatever it is, the run is worth more
        warn("MLflow", error, switch=SWITCH)
        _end_what_began()
        return None


def set_up(context: KedroContext) -> Any:
    """kedro-mlflow's hook, with the settings of mlflow.yml, which it also leaves in the context."""
    set_up_quietly()
    loader = context.config_loader
    conf = loader["mlflow"]
    server = conf.get("server") or {}
    if uri := server.get("mlflow_tracking_uri"):
        uri = under(context.project_path, uri)
        require_writable(uri)
        loader["mlflow"] = {**conf, "server": {**server, "mlflow_tracking_uri": uri}}
    from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook

    quiet_loggers()
    hook = MlflowHook()
    hook.after_context_created(context)
    _require_own_files(hook.mlflow_config.tracking.experiment)
    return hook


def _require_own_files(experiment: Any) -> None:
    """MLflow keeps absolute paths: a project that was copied would write into the first one."""
    name, found = experiment.name, experiment._experiment.artifact_location
    wanted = experiment.create_experiment_kwargs.artifact_location
    if wanted and found != wanted and found.startswith("file:"):
        raise ConfigurationError(
            f"the experiment {name!r} keeps its files in {found}, not in {wanted}: the project was "
            "moved or copied. Name another one in conf/local/mlflow.yml "
            f"(tracking: {{experiment: {{name: {name}-2}}}}), or remove the tracking folder"
        )


def _start(
    context: KedroContext, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
) -> MlflowSink:
    hook = set_up(context)
    hook.before_pipeline_run(run_params, pipeline, catalog)

    from mlflow import MlflowClient

    from seqtune.tracking.leftovers import PROCESS, end_leftovers, own_process
    from seqtune.tracking.mlflow_sink import MlflowSink

    client = MlflowClient(tracking_uri=hook.mlflow_config.server.mlflow_tracking_uri)
    experiment_id = hook.mlflow_config.tracking.experiment._experiment.experiment_id
    run_id = str(hook.run_id)
    client.set_tag(run_id, PROCESS, own_process())
    end_leftovers(client, experiment_id)

    def finish(end: End) -> None:
        if end == "FINISHED":
            hook.after_pipeline_run(run_params, pipeline, catalog)
        else:
            hook.on_pipeline_error(None, run_params, pipeline, catalog)
            client.set_terminated(run_id, end)  # it knows of no other end than FAILED

    return MlflowSink(
        client,
        experiment_id=experiment_id,
        run_id=run_id,
        finish=finish,
    )


def _end_what_began() -> None:
    """Otherwise MLflow would call the run a success when Python ends."""
    if (mlflow := sys.modules.get("mlflow")) is not None:
        with suppress(Exception):
            mlflow.end_run("FAILED")
