"""Ledger of test results: an ensemble is scored on test once, and the result reused.

<key>.json      the result of one ensemble on one test, written once and never changed
.lock           held while deciding whether to open test, and while it is scored
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from seqtune import __version__
from seqtune.core.config import canonical_json
from seqtune.core.errors import ArtifactError
from seqtune.core.files import lock, sync
from seqtune.core.task import Report

TEST, VALID = "test", "valid"
REOPEN = "--params ensemble.reopen_test=true"
LOCK = ".lock"


class EvaluateEnsemble(Protocol):
    def __call__(self, parts: Collection[str] | None) -> Report:
        """Return metrics on some held-out parts; None: on all."""


@dataclass(frozen=True)
class Opening:
    """The ensemble that test was opened for before, and when."""

    ensemble: str
    when: str
    """ISO time, UTC."""


@dataclass(frozen=True)
class ScoredEnsemble:
    """The metrics of an ensemble, and whether they are new."""

    report: Report
    from_store: bool
    openings: int
    """How many ensembles were scored on this test; 0 if there is no test."""
    when: str = ""
    """ISO time, UTC, of the result."""
    refused: Opening | None = None
    """The ensemble that test was opened for, if test stays closed to this one."""


@dataclass(frozen=True)
class TestLedger:
    """Results on test sets, in a folder."""

    __test__ = False  # keeps pytest from collecting it

    store: Path
    once: bool = False
    """Open a test only for the first ensemble."""
    reopen: bool = False
    """Open it for another one anyway; counted like every opening."""

    def score(self, *, ensemble: str, test: str, evaluate: EvaluateEnsemble) -> ScoredEnsemble:
        """Return the stored result of an ensemble (fingerprint) on a test (hash), or a new one."""
        with lock(self.store / LOCK):
            return self._score(ensemble, test, evaluate)

    def _score(self, ensemble: str, test: str, evaluate: EvaluateEnsemble) -> ScoredEnsemble:
        path = self.store / f"{result_key(ensemble, test)}.json"
        from_store = path.is_file()
        if not from_store:
            if (first := self._closed_by(ensemble, test)) is not None:
                return ScoredEnsemble(
                    evaluate((VALID,)), from_store=False, openings=self._count(test), refused=first
                )
            report = evaluate(None)
            if TEST not in report.get("parts", {}):
                return ScoredEnsemble(report, from_store=False, openings=0)
            new = {
                "ensemble": ensemble,
                "test_hash": test,
                "seqtune": __version__,
                "scored": datetime.now(UTC).isoformat(timespec="seconds"),
                "report": report,
            }
            from_store = not _write_new(path, new)
        entry = _read(path)
        return ScoredEnsemble(entry["report"], from_store, self._count(test), when=entry["scored"])

    def _closed_by(self, ensemble: str, test: str) -> Opening | None:
        """Return the first ensemble scored on this test, if it closes test to this one."""
        if not self.once or self.reopen:
            return None
        entries = self._entries(test)
        if not entries or any(entry["ensemble"] == ensemble for entry in entries):
            return None
        first = min(entries, key=lambda entry: str(entry["scored"]))
        return Opening(first["ensemble"], first["scored"])

    def _count(self, test: str) -> int:
        return len({entry["ensemble"] for entry in self._entries(test)})

    def _entries(self, test: str) -> list[dict[str, Any]]:
        entries = [_read(path) for path in self.store.glob("*.json")]
        return [entry for entry in entries if entry.get("test_hash") == test]


def describe_openings(scored: ScoredEnsemble) -> list[str]:
    """Say why test stays closed, where its result comes from, and how often it was opened."""
    lines = []
    if (first := scored.refused) is not None:
        lines.append(
            f"test stays closed: it was opened for another ensemble ({first.ensemble}, "
            f"{first.when}), and a test set that guides a choice is no test any more. These are "
            f"the metrics on valid; {REOPEN} opens it once more, and counts that"
        )
    if scored.from_store:
        lines.append(f"test was scored before ({scored.when}): that result is reused")
    if scored.openings > 1:
        lines.append(
            f"{scored.openings} different ensembles were scored on this test set: the best of "
            "several on one test set looks better than it is"
        )
    return lines


def result_key(ensemble: str, test: str) -> str:
    """Name the result: 16 hex digits over everything that it depends on."""
    values = {"ensemble": ensemble, "test": test, "seqtune": __version__}
    return sha256(canonical_json(values).encode()).hexdigest()[:16]


def _write_new(path: Path, entry: dict[str, Any]) -> bool:
    """Write a file completely or not at all; False if another process was first."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps(entry, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        partial.write_text(text, encoding="utf-8")
        sync(partial)
        os.link(partial, path)  # unlike a rename it never replaces what is there
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"ensemble", "scored", "report"} - entry.keys()
    except (ValueError, AttributeError) as error:
        raise ArtifactError(f"{path} is damaged ({error}); {_NEXT_STEP}") from error
    if missing:
        raise ArtifactError(f"{path} is damaged (no {', '.join(sorted(missing))}); {_NEXT_STEP}")
    return entry


_NEXT_STEP = (
    "seqtune wrote it once and never changes it. Restore it, or remove it and accept that test is "
    "scored a second time"
)
