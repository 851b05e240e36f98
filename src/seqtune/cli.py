"""Commands that Kedro finds; each is imported on use.

In the project: `cli`. In every other folder Kedro asks the installed packages (the entry point
`kedro.global_commands`): `elsewhere` says there what is missing. That it is imported at all, and
`seqtune` with it, switches usage reports off before any plug-in can send one.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click
from kedro.framework.cli.utils import LazyGroup
from kedro.utils import find_kedro_project

cli = LazyGroup(
    name="seqtune",
    lazy_subcommands={
        "run": "seqtune.commands.run.run",
        "mlflow": "seqtune.commands.mlflow.mlflow",
        "dashboard": "seqtune.commands.dashboard.dashboard",
    },
)


@click.pass_context
def refuse(context: click.Context, /) -> NoReturn:
    """Say where the commands of a project work."""
    raise click.ClickException(
        f"`kedro {context.info_name}` works in the folder of a project, and neither {Path.cwd()} "
        "nor a folder above it is one (a pyproject.toml with [tool.kedro]); change to the folder "
        "of your project first: cd <folder>"
    )


ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}
elsewhere = click.Group("seqtune")
if find_kedro_project(Path.cwd()) is None:
    for name in cli.lazy_subcommands:
        elsewhere.add_command(click.Command(name, callback=refuse, context_settings=ANYTHING))
