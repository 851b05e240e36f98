"""Logs outside a terminal are plain lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from kedro.logging import RichHandler

from seqtune.commands.console import use_plain_logs_outside_terminal


@pytest.fixture
def loggers() -> Iterator[tuple[logging.Logger, logging.Logger]]:
    """Kedro's logger and the root as conf/logging.yml makes them, and as they were afterwards."""
    kedro, root = logging.getLogger("kedro"), logging.getLogger()
    before = {
        logger: (logger.handlers[:], logger.level, logger.propagate) for logger in (kedro, root)
    }
    kedro.handlers, root.handlers = [RichHandler()], [RichHandler(markup=False)]
    kedro.setLevel("INFO")
    kedro.propagate = False
    yield kedro, root
    for logger, (handlers, level, propagate) in before.items():
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_a_message_stays_in_one_line_and_loses_kedros_colours(
    loggers: tuple[logging.Logger, logging.Logger], capsys: pytest.CaptureFixture[str]
) -> None:
    kedro, root = loggers
    use_plain_logs_outside_terminal()
    kedro.info("[bold]loading[/bold] %s", "x" * 200)
    root.warning("an item called [bold]Alien[/bold]")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("INFO    loading " + "x" * 200)
    assert lines[1].endswith("WARNING an item called [bold]Alien[/bold]")


def test_brackets_that_are_no_markup_are_kept(
    loggers: tuple[logging.Logger, logging.Logger], capsys: pytest.CaptureFixture[str]
) -> None:
    use_plain_logs_outside_terminal()
    loggers[0].info("it was [/d/data] of [3]")
    assert capsys.readouterr().out.rstrip().endswith("it was [/d/data] of [3]")


def test_a_terminal_keeps_its_colours(
    loggers: tuple[logging.Logger, logging.Logger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    use_plain_logs_outside_terminal()
    assert isinstance(loggers[0].handlers[0], RichHandler)
