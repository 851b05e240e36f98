"""Copy studies: backups of the file before each run, and snapshots to keep."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy import Connection, Float, MetaData, Table, select

from seqtune.core.errors import ArtifactError
from seqtune.core.files import atomic_write

from .storage import as_template, open_storage, quiet_optuna
from .storage_errors import check_file, explained
from .storage_url import StorageUrl, backups_of

ROWS_AT_ONCE = 5000


def backup(ref: StorageUrl, *, keep: int) -> Path | None:
    """Copy the study file into `backups` beside it and keep the newest `keep` copies.

    Return None if there is nothing to copy: a server, no file or an empty one, or no change since.
    """
    file = ref.file
    if file is None or not file.exists() or not file.stat().st_size or not keep:
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
    """Return when the file or its write-ahead log was last written to."""
    changed = file.stat().st_mtime_ns
    with suppress(FileNotFoundError):
        log = file.with_name(f"{file.name}-wal").stat()
        changed = max(changed, log.st_mtime_ns) if log.st_size else changed
    return changed


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


def snapshot(ref: StorageUrl, study_names: Sequence[str], out: Path) -> Path:
    """Write these studies to one SQLite file that Optuna and its dashboard can open."""
    storage = open_storage(ref)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(out) as partial:
            with quiet_optuna():  # creates the tables
                target = RDBStorage(as_template(f"sqlite:///{partial}")).engine
            with explained(ref), storage.engine.connect() as source, target.begin() as copy:
                _copy_studies(source, copy, study_names, place=ref.place)
            target.dispose()
    finally:
        storage.engine.dispose()
    return out


def _copy_studies(
    source: Connection, copy: Connection, study_names: Sequence[str], *, place: str
) -> None:
    """Copy row by row: `optuna.copy_study` takes a second for 50 curves."""
    target, origin = MetaData(), MetaData()
    target.reflect(copy)
    origin.reflect(source, only=list(target.tables))
    for column in (one for table in origin.tables.values() for one in table.c):
        if isinstance(column.type, Float):  # by default MySQL rounds them to ten digits
            column.type.asdecimal = False
    studies, trials = origin.tables["studies"], origin.tables["trials"]
    wanted = select(studies.c.study_id).where(studies.c.study_name.in_(study_names))
    study_ids = [row[0] for row in source.execute(wanted)]
    if len(study_ids) < len(set(study_names)):
        raise ArtifactError(f"not all of {', '.join(study_names)} are in {place}")
    trial_ids = select(trials.c.trial_id).where(trials.c.study_id.in_(study_ids))
    for table in target.sorted_tables:  # tables without either id hold the version of Optuna
        rows = origin.tables[table.name]
        if "study_id" in rows.c:
            _copy_rows(source, copy, select(rows).where(rows.c.study_id.in_(study_ids)), table)
        elif "trial_id" in rows.c:
            _copy_rows(source, copy, select(rows).where(rows.c.trial_id.in_(trial_ids)), table)


def _copy_rows(source: Connection, copy: Connection, query: Any, table: Table) -> None:
    result = source.execute(query).mappings()
    while rows := result.fetchmany(ROWS_AT_ONCE):
        copy.execute(table.insert(), [dict(row) for row in rows])
