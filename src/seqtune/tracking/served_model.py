"""A trained model as MLflow serves it: this very file is logged, as code and not as a pickle.

    model = mlflow.pyfunc.load_model("runs:/<run>/model")     # or models:/<id>
    model.predict(pd.DataFrame({"items": [["Alien", "Brazil"], []]}), params={"k": 5})

    mlflow models serve --env-manager local -m models:/<id> -p 5001
    curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\
        -d '{"dataframe_records": [{"items": ["Alien", "Brazil"]}], "params": {"k": 5}}'

What columns there are is the task's affair (`seqtune.tasks.<task>.serving`): here those of
recommend, else a `text` or a `dialogue`. seqtune itself must be installed where it is served.
"""

from __future__ import annotations

import json
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from seqtune.core.errors import SeqtuneError

FOLDER = "model"
"""Name of the artifact: a checkpoint or an ensemble."""
MANIFESTS = ("ensemble.json", "checkpoint.json")


# MLflow advises hints on `predict`, and takes them for the schema; the signature says it better.
warnings.filterwarnings("ignore", ".*Add type hints to the `predict` method", UserWarning)


class ServedModel(PythonModel):
    """Rows in, one list of answers for each out."""

    def load_context(self, context: Any) -> None:
        self._served = open_served(Path(context.artifacts[FOLDER]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        rows = model_input.to_dict(orient="records")
        try:
            return self._served.answers(rows, {**self._served.settings, **(params or {})})
        except SeqtuneError as error:  # the server would answer with a traceback
            raise MlflowException.invalid_parameter_value(str(error)) from error


def open_served(folder: Path) -> Any:
    """The model of a folder, opened by the task that its manifest names."""
    manifest = manifest_of(folder)
    task = json.loads(manifest.read_text(encoding="utf-8"))["task"]
    if not str(task).isidentifier():
        raise ValueError(f"{manifest} names no task: {task!r}")
    return import_module(f"seqtune.tasks.{task}.serving").open_served(folder)


def manifest_of(folder: Path) -> Path:
    """What says whose model it is."""
    return next(folder / name for name in MANIFESTS if (folder / name).is_file())


set_model(ServedModel())
