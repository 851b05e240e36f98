"""Commands of the project, found by Kedro; each is imported on use."""

from __future__ import annotations

from kedro.framework.cli.utils import LazyGroup

cli = LazyGroup(
    name="seqtune",
    lazy_subcommands={
        "run": "seqtune.commands.run.run",
        "mlflow": "seqtune.commands.mlflow.mlflow",
        "dashboard": "seqtune.commands.dashboard.dashboard",
    },
)
