"""Commands of the project, found by Kedro: `run`, with errors that a person can read."""

from __future__ import annotations

from kedro.framework.cli.utils import LazyGroup

cli = LazyGroup(name="seqtune", lazy_subcommands={"run": "seqtune.run_command.run"})
