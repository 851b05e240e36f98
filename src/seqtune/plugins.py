"""What every command of Kedro would do at its start, put off until somebody needs it."""

from __future__ import annotations

import gc
import sys
from typing import Any

LAZY = ("kedro_mlflow",)
"""What `kedro mlflow` needs of it, `seqtune.commands.mlflow` imports."""
SWITCHED_OFF = "kedro-telemetry"
"""Before and after each command it would find out anew that it is off."""


def leave_commands_to_us() -> None:
    """Keep Kedro's command line from importing mlflow (1.5 s) for `kedro registry list`.

    Kedro imports the commands of all plug-ins to see their names, and has no setting for it. The
    hook of kedro-mlflow is kept out by `TrackingHooks`.
    """
    utils = sys.modules.get("kedro.framework.cli.utils")
    load = getattr(utils, "_safe_load_entry_point", None)
    if utils is None or load is None or getattr(load, "is_lazy", False):
        return  # no command line, or a Kedro that loads them otherwise: slower, and as good

    def load_or_leave(entry_point: Any) -> Any:
        return None if entry_point.module.partition(".")[0] in LAZY else load(entry_point)

    load_or_leave.is_lazy = True  # type: ignore[attr-defined]
    utils._safe_load_entry_point = load_or_leave  # type: ignore[attr-defined]


def leave_telemetry_out() -> None:
    """Keep the command line from importing requests for telemetry that is off.

    `DISABLE_HOOKS_FOR_PLUGINS` holds for hooks of a run, not for those of a command.
    """
    module = sys.modules.get("kedro.framework.cli.hooks.manager")
    manager = getattr(module, "CLIHooksManager", None)
    register = getattr(manager, "_register_cli_hooks", None)
    if manager is None or register is None or getattr(register, "is_lazy", False):
        return

    def register_others(self: Any) -> None:
        self.set_blocked(SWITCHED_OFF)
        register(self)

    register_others.is_lazy = True  # type: ignore[attr-defined]
    manager._register_cli_hooks = register_others


class GarbageCollection:
    """Python's search for garbage, put off while a run starts.

    Up to the first node, thousands of modules are imported (MLflow, its database, pandas), none of
    which is ever garbage: walking over them again and again takes a fifth of a start.
    """

    def __init__(self) -> None:
        self.is_put_off = False

    def put_off(self) -> None:
        """Where it was switched off by somebody else, it is theirs."""
        if gc.isenabled():
            gc.disable()
            self.is_put_off = True

    def resume(self) -> None:
        if self.is_put_off:
            gc.freeze()  # what is there by now stays: nodes need not walk over it either
            gc.enable()
            self.is_put_off = False


garbage_collection = GarbageCollection()
