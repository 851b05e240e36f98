"""Test is opened once for an ensemble: what it gave is kept, and read from then on.

<key>.json      the result of one ensemble on one test, written once and never changed
.lock           held while it is decided whether test is opened, and while it is
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
from seqtune.core.files import lock
from seqtune.core.task import Report

TEST, VALID = "test", "valid"
LOCK = ".lock"


class EvaluateEnsemble(Protocol):
    def __call__(self, parts: Collection[str] | None) -> Report:
        """Metrics on some parts of what was held out; None: on all."""


@dataclass(frozen=True)
class PreviousUse:
    """The ensemble that test was opened for before, and when."""

    ensemble: str
    when: str
    """ISO time, UTC."""


@dataclass(frozen=True)
class ScoredEnsemble:
    """The metrics of an ensemble, and whether they were made now."""

    report: Report
    from_store: bool
    openings: int
    """Different ensembles whose result on this test is known; 0: there is no test."""
    when: str = ""
    """ISO time, UTC, of the result."""
    refused: PreviousUse | None = None
    """Test stays closed, because this one was scored on it."""


@dataclass(frozen=True)
class TestLedger:
    """What was scored on tests, in a folder."""

    __test__ = False  # for pytest, which would take it for a test

    store: Path
    once: bool = False
    """Whether a test is opened for the first ensemble alone."""
    reopen: bool = False
    """Open it for another one all the same; counted like every opening."""

    def score(self, *, ensemble: str, test: str, evaluate: EvaluateEnsemble) -> ScoredEnsemble:
        """The stored result of this ensemble (a fingerprint) on a test (a hash), or a new one."""
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

    def _closed_by(self, ensemble: str, test: str) -> PreviousUse | None:
        """Whoever was scored on this test first, where nobody else may be."""
        if not self.once or self.reopen:
            return None
        entries = self._entries(test)
        if not entries or any(entry["ensemble"] == ensemble for entry in entries):
            return None
        first = min(entries, key=lambda entry: str(entry["scored"]))
        return PreviousUse(first["ensemble"], first["scored"])

    def _count(self, test: str) -> int:
        return len({entry["ensemble"] for entry in self._entries(test)})

    def _entries(self, test: str) -> list[dict[str, Any]]:
        entries = [_read(path) for path in self.store.glob("*.json")]
        return [entry for entry in entries if entry.get("test_hash") == test]


def result_key(ensemble: str, test: str) -> str:
    """A name for the result: 16 hex digits over all that it depends on."""
    said = {"ensemble": ensemble, "test": test, "seqtune": __version__}
    return sha256(canonical_json(said).encode()).hexdigest()[:16]


def _write_new(path: Path, entry: dict[str, Any]) -> bool:
    """Write a file that is complete or not there; False: somebody else was first."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps(entry, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # unlike a rename it never replaces what is there
    except FileExistsError:
        return False
    except OSError:  # a file system without second names
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
    "seqtune wrote it once and never changes it. Restore it, or remove it and know that its test "
    "result is then made a second time"
)
