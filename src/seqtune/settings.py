"""Project settings, read by Kedro. https://docs.kedro.org/en/stable/configure/"""

import os
from pathlib import Path

from seqtune.hooks import Hooks
from seqtune.plugins import leave_commands_to_us, leave_telemetry_out

# Telemetry is off; Kedro-Viz would warn of every run that is not the whole chain. Names as the
# distributions write them: others are ignored.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz", "kedro_mlflow")

# The names of their hooks: Kedro would import them before it disables them.
NOT_IMPORTED = ("kedro-telemetry", "kedro-dataset-stats", "pipeline-run-hook")

# The last one is called first at the end of a run: what TrackingHooks keeps must be written then.
HOOKS = Hooks(
    *("ParameterHooks", "StartHooks", "TrackingHooks", "ReportHooks"),
    instead_of=NOT_IMPORTED,
)

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Without this an environment's file replaces a whole top-level key.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
    "custom_resolvers": {
        "root": lambda: str(Path(__file__).resolve().parents[2]),
        # ${env:NAME,default}; Kedro's own oc.env is for credentials alone.
        "env": lambda name, default=None: os.environ.get(name, default),
    },
}

leave_commands_to_us()
leave_telemetry_out()
