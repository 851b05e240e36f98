"""Project settings, read by Kedro. https://docs.kedro.org/en/stable/configure/"""

from pathlib import Path

from seqtune.hooks import ParameterHooks, SummaryHooks

HOOKS = (ParameterHooks(), SummaryHooks())

# Opening a run's store on exit is of no use to us, and telemetry is off.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_telemetry",)

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Without this an environment's file replaces a whole top-level key.
    "merge_strategy": {"parameters": "soft"},
    "custom_resolvers": {"root": lambda: str(Path(__file__).resolve().parents[2])},
}
