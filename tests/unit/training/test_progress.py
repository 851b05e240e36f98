"""What a person at a terminal sees."""

from __future__ import annotations

import io
import logging
import re
import sys
from pathlib import Path

import pytest
from toy_task import ToyData, toy_config, toy_spec

from seqtune.core.errors import TrainingError
from seqtune.training import fit, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Called by the test itself: between fixtures and tests, pytest exchanges sys.stderr."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_UPDATES", 0.0)
    return screen


def shown(screen: Terminal) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())


def test_one_bar_over_all_epochs_with_loss_metric_and_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = terminal(monkeypatch)
    data = ToyData()
    config = toy_config(monitor="val_epoch", monitor_mode="max")
    result = fit(toy_spec(data), config, data, directory=tmp_path, fingerprint="f")
    loss = result.history[-1]["train_loss"]
    last = shown(screen).splitlines()[-1]
    assert f"epoch 3/3 loss {loss:.4f} val_epoch 2.0000 (best 2.0000)" in last
    assert "100%" in last


def test_the_bar_ends_where_training_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    data = ToyData(poison_at=(1, 1))
    with pytest.raises(TrainingError):
        fit(toy_spec(data), toy_config(), data, directory=tmp_path, fingerprint="f")
    assert screen.getvalue().endswith("\x1b[?25h"), "the cursor is shown again"


def test_elsewhere_each_epoch_is_a_line_and_the_last_has_no_time_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = ToyData()
    with caplog.at_level(logging.INFO, logger=progress.__name__):
        fit(toy_spec(data), toy_config(), data, directory=tmp_path, fingerprint="f")
    assert [" left" in line for line in caplog.messages] == [True, True, False]
