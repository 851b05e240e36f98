"""Test is opened once for an ensemble: what it gave is kept, and read from then on.

<key>.json      the result of one ensemble on one data set, written once and never changed
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from seqtune import __version__
from seqtune.contracts.config import canonical_json
from seqtune.contracts.errors import ArtifactError
from seqtune.contracts.task import Report

TEST = "test"


@dataclass(frozen=True)
class Scored:
    """The metrics of an ensemble, and whether they were made now."""

    report: Report
    from_store: bool
    openings: int
    """Different ensembles whose result on this data's test is known; 0: there is no test."""
    when: str = ""
    """ISO time, UTC, of the result."""


def score_once(store: Path, *, ensemble: str, data: str, evaluate: Callable[[], Report]) -> Scored:
    """The stored result of this ensemble (a fingerprint) on these data (a hash), or a new one."""
    path = store / f"{result_key(ensemble, data)}.json"
    from_store = path.is_file()
    if not from_store:
        report = evaluate()
        if TEST not in report.get("parts", {}):
            return Scored(report, from_store=False, openings=0)
        new = {
            "ensemble": ensemble,
            "data_hash": data,
            "seqtune": __version__,
            "scored": datetime.now(UTC).isoformat(timespec="seconds"),
            "report": report,
        }
        from_store = not _write_new(path, new)
    entry = _read(path)
    return Scored(entry["report"], from_store, _count(store, data), when=entry["scored"])


def result_key(ensemble: str, data: str) -> str:
    """A name for the result: 16 hex digits over all that it depends on."""
    said = {"ensemble": ensemble, "data": data, "seqtune": __version__}
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


def _count(store: Path, data: str) -> int:
    entries = [_read(path) for path in store.glob("*.json")]
    return len({entry["ensemble"] for entry in entries if entry["data_hash"] == data})


def _read(path: Path) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"ensemble", "data_hash", "scored", "report"} - entry.keys()
    except (ValueError, AttributeError) as error:
        raise ArtifactError(f"{path} is damaged ({error}); {_NEXT_STEP}") from error
    if missing:
        raise ArtifactError(f"{path} is damaged (no {', '.join(sorted(missing))}); {_NEXT_STEP}")
    return entry


_NEXT_STEP = (
    "seqtune wrote it once and never changes it. Restore it, or remove it and know that its test "
    "result is then made a second time"
)
