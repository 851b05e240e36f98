"""`seqtune`, or `python -m seqtune`: `kedro run` without Kedro's other commands."""

from __future__ import annotations

from pathlib import Path

from kedro.framework.project import configure_project


def main() -> None:
    configure_project(Path(__file__).parent.name)
    from seqtune.commands.run import run  # needs the configured project

    run(prog_name="seqtune")


if __name__ == "__main__":
    main()
