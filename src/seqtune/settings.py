"""Project settings, read by Kedro. https://docs.kedro.org/en/stable/configure/"""

import os

from seqtune.config_loader import OriginConfigLoader
from seqtune.hooks import ParameterHooks, ReportHooks, TrackingHooks, VersionHooks

HOOKS = (ParameterHooks(), VersionHooks(), TrackingHooks(), ReportHooks())

# Telemetry is off; Kedro-Viz would warn about each run of a part of the chain; TrackingHooks
# replace kedro-mlflow, if that is installed. The names are those of the distributions.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz", "kedro_mlflow")

CONFIG_LOADER_CLASS = OriginConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Without this, an environment's file replaces a whole top-level key.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
    # ${env:NAME,default}; Kedro's own oc.env works only for credentials.
    "custom_resolvers": {"env": lambda name, default=None: os.environ.get(name, default)},
}
