"""A trained model for MLflow, which logs this file as code instead of a pickle.

    model = mlflow.pyfunc.load_model("runs:/<run>/model")     # or models:/<id>
    model.predict(pd.DataFrame({"items": [["Alien", "Brazil"], []]}), params={"k": 5})

    mlflow models serve --env-manager local -m models:/<id> -p 5001
    curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\
        -d '{"dataframe_records": [{"items": ["Alien", "Brazil"]}], "params": {"k": 5}}'

The columns are those of the task (`seqtune.tasks.<task>.serving`): `items` for recommend, else
`text` or `dialogue`. seqtune must be installed where the model is served.
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


# MLflow recommends hints on `predict`, but would derive the schema from them; we log a signature
warnings.filterwarnings("ignore", ".*Add type hints to the `predict` method", UserWarning)


class ServedModel(PythonModel):
    """Answers each row with a list."""

    def load_context(self, context: Any) -> None:
        self._served = open_served(Path(context.artifacts[FOLDER]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        rows = model_input.to_dict(orient="records")
        try:
            return self._served.answers(rows, {**self._served.settings, **(params or {})})
        except SeqtuneError as error:  # the server would answer with a traceback
            raise MlflowException.invalid_parameter_value(str(error)) from error


def open_served(folder: Path) -> Any:
    """Open the model of a folder through the task that its manifest names."""
    manifest = manifest_of(folder)
    task = json.loads(manifest.read_text(encoding="utf-8"))["task"]
    if not str(task).isidentifier():
        raise ValueError(f"{manifest} does not name a task: {task!r}")
    return import_module(f"seqtune.tasks.{task}.serving").open_served(folder)


def manifest_of(folder: Path) -> Path:
    """Return the manifest of a checkpoint or an ensemble."""
    return next(folder / name for name in MANIFESTS if (folder / name).is_file())


set_model(ServedModel())
