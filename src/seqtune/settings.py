"""Project settings, read by Kedro. https://docs.kedro.org/en/stable/configure/"""

import os

from seqtune.config_loader import OriginConfigLoader
from seqtune.hooks import ParameterHooks, ReportHooks, TrackingHooks

HOOKS = (ParameterHooks(), TrackingHooks(), ReportHooks())

# Telemetry is off; Kedro-Viz would warn of every run that is not the whole chain; TrackingHooks
# track runs, where kedro-mlflow happens to be installed too. Names as the distributions write them.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz", "kedro_mlflow")

CONFIG_LOADER_CLASS = OriginConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Without this an environment's file replaces a whole top-level key.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
    # ${env:NAME,default}; Kedro's own oc.env is for credentials alone.
    "custom_resolvers": {"env": lambda name, default=None: os.environ.get(name, default)},
}
