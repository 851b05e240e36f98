"""Log a trained model to the active MLflow run, so that it can be loaded and served."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.serving import ColumnKind, Served

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import DataType

NAME = "model"
NEEDS = ("seqtune", "torch", "numpy", "pandas", "pyarrow", "safetensors", "pydantic")
NOT_NEEDED = ("python", "lightning", "optuna")
"""Libraries of training that serving does not need."""


def log_model(folder: Path) -> str:
    """Log a checkpoint or an ensemble; return the address by which MLflow loads it."""
    import mlflow

    from . import served_model

    served = served_model.open_served(folder)
    logged = mlflow.pyfunc.log_model(
        name=NAME,
        python_model=served_model.__file__,
        artifacts={served_model.FOLDER: str(folder)},
        signature=signature(served),
        pip_requirements=requirements(trained_with(folder)),
    )
    return str(logged.model_uri)


def signature(served: Served) -> ModelSignature:
    """Return the signature that MLflow checks every request against."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, Object, ParamSchema, ParamSpec, Property, Schema

    columns = []
    for column in served.columns:
        kind = data_type(column.kind)
        columns.append(ColSpec(Array(kind) if column.is_list else kind, column.name))
    line = Object([Property(name, data_type(kind)) for name, kind in served.answer.items()])
    settings = [ParamSpec(name, _type_of(v), v) for name, v in served.settings.items()]
    return ModelSignature(
        inputs=Schema([*columns]),
        outputs=Schema([ColSpec(Array(line))]),
        params=ParamSchema(settings),
    )


def data_type(kind: ColumnKind) -> DataType:
    from mlflow.types import DataType

    names = {"text": "string", "integer": "long", "number": "double"}
    return DataType[names[kind]]


def trained_with(folder: Path) -> list[str]:
    """Return the libraries that the manifest of a checkpoint or an ensemble names."""
    from . import served_model

    manifest = json.loads(served_model.manifest_of(folder).read_text(encoding="utf-8"))
    return [name for name in manifest.get("versions") or () if name not in NOT_NEEDED]


def requirements(more: Iterable[str] = ()) -> list[str]:
    """Return the installed versions, without suffixes like `+cpu` that no index knows."""
    found = []
    for name in dict.fromkeys((*NEEDS, *more)):
        try:
            found.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return found


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return {int: "long", float: "double", str: "string"}[type(value)]
