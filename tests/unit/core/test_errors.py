"""Errors carry what a user needs, and nothing is lost when there are several."""

from __future__ import annotations

import errno
import json
import pickle
import signal

import pytest

from seqtune.core import errors
from seqtune.core.errors import (
    ConfigurationError,
    InfeasibleError,
    Interrupted,
    SeqtuneError,
    did_you_mean,
    storage_error,
)


def test_every_error_has_the_one_base_and_stands_in_the_tree() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and value.__module__ == errors.__name__
    ]

    assert all(issubclass(error, SeqtuneError) for error in classes)
    assert all(error.__name__ in (errors.__doc__ or "") for error in classes)


def test_faults_are_kept_apart_and_shown_together() -> None:
    error = ConfigurationError(["first", "second"])

    assert error.faults == ("first", "second")
    assert str(error) == "first\nsecond"
    assert ConfigurationError("only").faults == ("only",)


def test_a_fault_that_quotes_a_long_name_keeps_its_beginning_and_its_end() -> None:
    (fault,) = ConfigurationError(f"{'x' * 5000} is not known; choose one of a, b").faults

    assert len(fault) < 2100
    assert fault.startswith("xxx")
    assert fault.endswith("is not known; choose one of a, b")


def test_interruption_ends_with_the_code_of_its_signal() -> None:
    assert Interrupted("stopped", signal_number=signal.SIGTERM).exit_code == 143
    assert Interrupted("stopped", signal_number=signal.SIGINT).exit_code == 130
    assert SeqtuneError().exit_code == 1


class OwnError(InfeasibleError):
    """Of some work: another process may not know it."""


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError(["first", "second"]),
        Interrupted("stopped", signal_number=15),
        InfeasibleError("too large", constraint="memory", violation=3.5),
        OwnError("too large", constraint="memory", violation=3.5),
    ],
)
def test_another_process_gets_an_error_whole(error: SeqtuneError) -> None:
    as_json = errors.from_dict(json.loads(json.dumps(errors.to_dict(error))))

    for copy in (as_json, pickle.loads(pickle.dumps(error))):
        assert isinstance(error, type(copy))
        assert type(copy).__module__ == errors.__name__
        assert str(copy) == str(error)
        assert vars(copy) == vars(error)


def test_nearest_name_is_suggested() -> None:
    assert did_you_mean("num_head", ["num_heads", "dropout"]) == "did you mean 'num_heads'?"


def test_all_names_are_listed_where_none_is_near() -> None:
    assert did_you_mean("zzz", ["num_heads", "dropout"]) == "choose one of dropout, num_heads"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "no space is left on the disk"),
        (errno.EROFS, "the file system is read-only"),
    ],
)
def test_storage_is_said_to_be_at_fault(number: int, reason: str) -> None:
    error = storage_error(OSError(number, "of the system"), "data/06_models")

    assert error is not None
    assert str(error).startswith(f"cannot write below data/06_models: {reason} (")
    assert "conf/local/globals.yml" in str(error)


def test_a_permission_that_is_missing_is_not_called_a_full_disk() -> None:
    error = storage_error(PermissionError(errno.EACCES, "denied", "data/01_raw/a.csv"), "data")

    assert str(error).startswith("data/01_raw/a.csv: permission is denied. ")
    assert "read and write" in str(error)


def test_other_errors_of_the_system_stay_what_they_are() -> None:
    assert storage_error(OSError(errno.ENOENT, "no such file"), "data") is None
