"""Turn raw files into a folder of dialogues with their summaries (see text/ingested.py).

Columns: row (int64, from 0, official parts first), id (string), dialogue (string), summaries
(list of string, at least one), topic (string or null), role (string: dialogues, or valid_dialogues
and test_dialogues for official parts).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from seqtune.core.errors import DataError
from seqtune.core.task import Report, Sources
from seqtune.text.ingested import ROLE, require_source, write_ingested
from seqtune.text.reading import drop_warnings, reading_report, require_distinct
from seqtune.text.rows import RowErrors, check_ids, special_tokens, special_warning, spread

from .data import DIALOGUE, ID, ROW, SUMMARIES, TOPIC
from .params import IngestConfig, SummarizeConfig
from .reading import COLUMNS_KEY, POOL, PREFIXES, ROLES, TEST, VALID, Dialogue, DialogueReader

DROPPED = {
    "empty": "rows without a dialogue or a summary were left out (on_empty=drop)",
    "duplicate": "dialogues that repeat an earlier one were left out (on_duplicates=drop)",
}


def ingest(sources: Sources, config: SummarizeConfig, *, out: Path) -> Report:
    """Check dialogues and summaries, drop repeats, and return the report."""
    settings = config.ingest
    require_source(sources, POOL)
    columns = settings.columns
    require_distinct(
        [columns.dialogue, columns.summary, columns.id, columns.topic],
        key=COLUMNS_KEY,
        rule="dialogue, summary, id and topic are columns of their own",
    )
    reader = DialogueReader(settings)
    read = [one for role in ROLES for one in reader.read(role, sources.get(role, ()))]
    kept, repeats = sift(read, settings, reader.faults)
    kept.sort(key=lambda one: list(PREFIXES).index(one.role))
    check_ids([(one.id, one.place) for one in kept], reader.faults, key=f"{COLUMNS_KEY}.id")
    reader.faults.raise_any()
    if not any(one.role == POOL for one in kept):
        raise DataError(
            f"none of the {reader.rows_read.total()} rows can be trained on: {reader.num_empty} "
            f"have no dialogue or no summary; see {COLUMNS_KEY}"
        )
    manifest = write_ingested(
        out,
        _table(kept),
        task="summarize",
        name="dialogues",
        facts={},
        made_with={"ingest": settings.model_dump(mode="json")},
    )
    return _report(sources, reader, kept, repeats, rows=manifest.rows)


def sift(
    read: Sequence[Dialogue], config: IngestConfig, faults: RowErrors
) -> tuple[list[Dialogue], dict[str, int]]:
    """Drop repeated dialogues as configured, and count them; official parts stay whole."""
    first: dict[tuple[str, str], Dialogue] = {}
    kept: list[Dialogue] = []
    counts = {"duplicate": 0, "kept": 0}
    for one in read:
        before = first.setdefault((one.role, one.dialogue), one)
        if before is not one and config.on_duplicates == "error":
            faults.add(
                "equal dialogues",
                f"{before.place} and {one.place}",
                next_step="Take one out, or set summarize.ingest.on_duplicates=drop or keep",
            )
        drop = before is not one and config.on_duplicates == "drop" and one.role == POOL
        if not drop:
            kept.append(one)
        if before is not one:
            counts["duplicate" if drop else "kept"] += 1
    return kept, counts


def _table(kept: Sequence[Dialogue]) -> pa.Table:
    return pa.table(
        {
            ROW: pa.array(range(len(kept)), pa.int64()),
            ID: pa.array([one.id for one in kept], pa.string()),
            DIALOGUE: pa.array([one.dialogue for one in kept], pa.string()),
            SUMMARIES: pa.array([list(one.summaries) for one in kept], pa.list_(pa.string())),
            TOPIC: pa.array([one.topic for one in kept], pa.string()),
            ROLE: pa.array([one.role for one in kept], pa.string()),
        }
    )


def _report(
    sources: Sources,
    reader: DialogueReader,
    kept: Sequence[Dialogue],
    repeats: dict[str, int],
    *,
    rows: dict[str, int],
) -> Report:
    """Return what was read, left out and changed, and the lengths of texts."""
    dropped = {"empty": reader.num_empty, "duplicate": repeats["duplicate"]}
    tokens = special_tokens(text for one in kept for text in (one.dialogue, *one.summaries))
    references = Counter(len(one.summaries) for one in kept)
    report: Report = {
        **reading_report(reader, sources, kept=len(kept), dropped=dropped),
        "rows": rows,
        "references": {str(num): references[num] for num in sorted(references)},
        "characters": {
            "dialogue": spread([len(one.dialogue) for one in kept]),
            "summary": spread([len(text) for one in kept for text in one.summaries]),
        },
        "changed": {
            "dialogues": dict(reader.clean.changed),
            "summaries": dict(reader.clean_summary.changed),
        },
        "special_tokens": tokens,
    }
    report["warnings"] = [
        *drop_warnings(dropped, DROPPED, num_kept=repeats["kept"], texts="dialogues"),
        *_missing(reader),
        *reader.clean.warnings(),
        *reader.clean_summary.warnings(),
        *special_warning(tokens, "dialogues or summaries"),
    ]
    parts = {VALID: "official valid", TEST: "official test"}
    official = "".join(f", {rows[role]} {name}" for role, name in parts.items() if role in rows)
    report["headline"] = [f"ingest: {rows[POOL]} dialogues{official}", *report["warnings"]]
    return report


def _missing(reader: DialogueReader) -> list[str]:
    """Return a line for each optional column that files lack."""
    columns = reader.config.columns
    instead = {columns.id: "their rows are numbered", columns.topic: "their topics are left open"}
    return [
        f"{', '.join(sorted(map(str, files)))}: no column {name!r}; {instead[name]}"
        for name, files in reader.without.items()
    ]
