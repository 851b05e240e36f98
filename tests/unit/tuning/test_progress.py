from __future__ import annotations

import logging
from io import StringIO

import pytest
from rich.console import Console

from seqtune.core.trials import Trial
from seqtune.tuning.search.progress import (
    NoProgress,
    SearchBar,
    SearchLines,
    SearchStatus,
    params_text,
    status_text,
    trial_text,
    view_of,
)
from seqtune.tuning.studies.records import Counts

BEST = Trial(number=3, state="complete", params={"training.lr": 0.00123456}, score=0.75)
COUNTS = Counts(complete=2, pruned=1, infeasible=1, failed=4, running=2)
STATUS = SearchStatus(total=10, counts=COUNTS, best=BEST, seconds_left=65.0)
STATUS_TEXT = (
    "3 of 10 finished, best 0.75 in trial 3, 1 pruned, 1 infeasible, 4 failed, "
    "about 1 min 05 s left"
)


def test_the_status_names_best_counts_and_time_left():
    assert status_text(STATUS) == STATUS_TEXT


def test_nothing_is_guessed_before_a_trial_has_finished():
    status = SearchStatus(total=2, counts=Counts(), best=None, seconds_left=None)
    assert status_text(status) == "0 of 2 finished"


@pytest.mark.parametrize("seconds_left", [0.0, -3.0])
def test_no_time_is_left_at_the_end(seconds_left: float):
    status = SearchStatus(total=1, counts=Counts(complete=1), best=BEST, seconds_left=seconds_left)
    assert status_text(status) == "1 of 1 finished, best 0.75 in trial 3"


@pytest.mark.parametrize(
    ("trial", "text"),
    [
        (BEST, "trial 3 complete at 0.75 with lr=0.001235"),
        (
            Trial(number=4, state="failed", params={}, reason="loss is NaN\nTraceback"),
            "trial 4 failed (loss is NaN) with no parameters",
        ),
    ],
)
def test_a_trial_in_one_line(trial, text):
    assert trial_text(trial) == text


def test_many_parameters_are_cut_short():
    params = {f"model.p{number}": number for number in range(8)}
    assert params_text(params) == "p0=0, p1=1, p2=2, p3=3, p4=4, p5=5, ..."


def test_there_is_at_most_one_line_a_second(caplog):
    now = [0.0]
    lines = SearchLines(clock=lambda: now[0])
    other = Trial(number=4, state="pruned", params={"x": 1})
    with caplog.at_level(logging.INFO):
        lines.show(STATUS, [])
        lines.show(STATUS, [BEST])
        now[0] = 0.5
        lines.show(STATUS, [BEST])
        lines.show(STATUS, [other])
        assert len(caplog.messages) == 1
        now[0] = 1.1
        lines.show(STATUS, [])
        lines.show(STATUS, [other])
        lines.close()
        lines.close()

    assert caplog.messages == [
        f"trial 3 complete at 0.75 with lr=0.001235; {STATUS_TEXT}",
        f"trial 4 pruned with x=1 (and 1 more); {STATUS_TEXT}",
        f"trial 4 pruned with x=1; {STATUS_TEXT}",
    ]


def test_a_terminal_gets_one_bar():
    out = StringIO()
    bar = SearchBar("toy-quick-1", console=Console(file=out, force_terminal=True, width=160))
    bar.show(STATUS, [BEST])
    bar.close()
    bar.close()
    assert "toy-quick-1" in out.getvalue()
    assert "3/10" in out.getvalue()
    assert "best 0.75" in out.getvalue()


def test_the_view_fits_what_is_there():
    assert isinstance(view_of("study"), SearchLines)
    assert isinstance(view_of("study", enabled=False), NoProgress)
