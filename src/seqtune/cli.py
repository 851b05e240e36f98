"""Commands of the project, found by Kedro; each is imported when it is asked for."""

from __future__ import annotations

from kedro.framework.cli.utils import LazyGroup

cli = LazyGroup(
    name="seqtune",
    lazy_subcommands={
        "run": "seqtune.run_command.run",
        "mlflow": "seqtune.mlflow_command.mlflow",
        "graph": "seqtune.graph_command.graph",
        "dashboard": "seqtune.dashboard_command.dashboard",
    },
)
