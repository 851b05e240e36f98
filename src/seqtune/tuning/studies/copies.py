"""Copies of studies: backups of the file before it is written to, and snapshots to keep."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.contracts.errors import ArtifactError
from seqtune.contracts.files import atomic_write

from .faults import check_file, explained
from .ref import StorageRef, backups_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

ROWS_AT_ONCE = 5000


def backup(ref: StorageRef, *, keep: int) -> Path | None:
    """Copy the study file beside it, as it is; the newest `keep` copies stay.

    Call it once before a run writes. None where there is nothing to copy: a server (which has
    backups of its own), no file yet, or no change since the newest copy.
    """
    file = ref.file
    if file is None or not file.exists() or not keep:
        return None
    with explained(ref):
        check_file(file)
        changed = _changed_at(file)
        copies = backups_of(file)
        if copies and copies[-1].stat().st_mtime_ns == changed:
            return None
        made = _copy(file, changed)
    for old in backups_of(file)[:-keep]:
        old.unlink(missing_ok=True)
    return made


def _changed_at(file: Path) -> int:
    """When the file, or the log of what is not in it yet, was last written to."""
    log = file.with_name(f"{file.name}-wal")
    times = [file.stat().st_mtime_ns]
    with suppress(FileNotFoundError):
        if log.stat().st_size:
            times.append(log.stat().st_mtime_ns)
    return max(times)


def _copy(file: Path, changed: int) -> Path:
    folder = file.parent / "backups"
    folder.mkdir(exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = folder / f"{file.stem}-{moment}{file.suffix}"
    with atomic_write(target) as partial:
        with (
            closing(sqlite3.connect(file.absolute())) as source,
            closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
        os.utime(partial, ns=(changed, changed))
    return target


def snapshot(ref: StorageRef, study_names: Sequence[str], out: Path) -> Path:
    """These studies, whole, in one SQLite file that Optuna and its dashboard can open."""
    from sqlalchemy import create_engine

    from .storage import open_storage

    storage = open_storage(ref)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(out) as partial:
            target = create_engine(f"sqlite:///{partial}")
            with explained(ref), storage.engine.connect() as source, target.begin() as copy:
                _copy_studies(source, copy, study_names, place=ref.place)
            target.dispose()
    finally:
        storage.engine.dispose()
    return out


def _copy_studies(
    source: Connection, copy: Connection, study_names: Sequence[str], *, place: str
) -> None:
    """Row by row, below the objects: `optuna.copy_study` takes a second for 50 curves."""
    from optuna.storages._rdb.models import BaseModel, StudyModel, TrialModel
    from sqlalchemy import select

    BaseModel.metadata.create_all(copy)
    wanted = select(StudyModel.study_id).where(StudyModel.study_name.in_(study_names))
    study_ids = [row[0] for row in source.execute(wanted)]
    if len(study_ids) < len(set(study_names)):
        raise ArtifactError(f"not all of {', '.join(study_names)} are in {place}")
    trial_ids = select(TrialModel.trial_id).where(TrialModel.study_id.in_(study_ids))
    for table in BaseModel.metadata.sorted_tables:
        query = select(table)
        if "study_id" in table.c:
            query = query.where(table.c.study_id.in_(study_ids))
        elif "trial_id" in table.c:
            query = query.where(table.c.trial_id.in_(trial_ids))
        for rows in _batches(source, query):
            copy.execute(table.insert(), rows)
    _copy_schema_version(source, copy)


def _batches(source: Connection, query: Any) -> Iterator[list[dict[str, Any]]]:
    result = source.execute(query).mappings()
    while rows := result.fetchmany(ROWS_AT_ONCE):
        yield [dict(row) for row in rows]


def _copy_schema_version(source: Connection, copy: Connection) -> None:
    """The one table that Optuna's models do not know: Alembic's note of their version."""
    from sqlalchemy import MetaData, select
    from sqlalchemy import Table as MakeTable

    table: Table = MakeTable("alembic_version", MetaData(), autoload_with=source)
    table.to_metadata(MetaData()).create(copy)
    copy.execute(table.insert(), [dict(row) for row in source.execute(select(table)).mappings()])
