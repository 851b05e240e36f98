"""Plug-ins of Kedro that are imported when they are used, and not by every command."""

from __future__ import annotations

import sys
from typing import Any

LAZY = ("kedro_mlflow",)
"""What `kedro mlflow` needs of it, `seqtune.commands.mlflow` imports."""


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
