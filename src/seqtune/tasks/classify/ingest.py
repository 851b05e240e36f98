"""Read raw files into a folder of labelled texts (see text/ingested.py).

Columns: row (int64, from 0, official parts first), id (string), text (string), labels (list of
int8), role (string: texts, or test_texts for an official test).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from seqtune.core.errors import DataError
from seqtune.core.task import Report, Sources
from seqtune.text.ingested import ROLE, require_source, write_ingested
from seqtune.text.reading import drop_warnings, reading_report, require_distinct
from seqtune.text.rows import RowErrors, check_ids, special_tokens, special_warning, spread

from .data import ID, LABELS, ROW, TEXT, label_lists
from .params import ClassifyConfig, IngestConfig
from .reading import COLUMNS_KEY, POOL, PREFIXES, TEST, Labelled, LabelReader

DROPPED = {
    "empty": "texts without a letter or digit were left out (on_empty=drop)",
    "duplicate": "texts that repeat an earlier one were left out (on_duplicates=drop)",
    "conflict": "texts that occur with different labels were left out (on_conflict=drop)",
}


def ingest(sources: Sources, config: ClassifyConfig, *, out: Path) -> Report:
    """Check texts and labels, handle repeats, and report."""
    settings = config.ingest
    require_source(sources, POOL)
    columns = settings.columns
    require_distinct(
        [columns.text, columns.id, *columns.labels, *columns.ignore],
        key=COLUMNS_KEY,
        rule="a column is the text, the id, one label, or ignored",
    )
    reader = LabelReader(settings)
    read = [one for role in (POOL, TEST) for one in reader.read(role, sources.get(role, ()))]
    kept, repeats = sift(read, settings, reader.faults)
    kept.sort(key=lambda one: list(PREFIXES).index(one.role))
    check_ids([(one.id, one.place) for one in kept], reader.faults, key=f"{COLUMNS_KEY}.id")
    reader.faults.raise_any()
    if not any(one.role == POOL for one in kept):
        raise DataError(
            f"none of the {reader.rows_read.total()} rows is usable: {reader.num_empty} have no "
            f"letter or digit, {repeats['conflict']} contradict another row; see {COLUMNS_KEY}"
        )
    manifest = write_ingested(
        out,
        _table(kept),
        task="classify",
        name="texts",
        facts={"labels": reader.labels},
        made_with={"ingest": settings.model_dump(mode="json")},
    )
    return _report(sources, reader, kept, repeats, rows=manifest.rows)


def sift(
    read: Sequence[Labelled], config: IngestConfig, faults: RowErrors
) -> tuple[list[Labelled], dict[str, int]]:
    """Drop repeats and contradictions as configured; an official test stays whole."""
    alike: dict[tuple[str, str], list[Labelled]] = {}
    for one in read:
        alike.setdefault((one.role, one.text), []).append(one)
    kept: list[Labelled] = []
    counts = dict.fromkeys(("duplicate", "conflict", "kept"), 0)
    for same in alike.values():
        left = _apply_policy(same, config, faults)
        if len(same) > 1:
            what = "conflict" if _have_conflict(same) else "duplicate"
            counts[what] += len(same) - len(left)
            counts["kept"] += len(left) - 1 if left else 0
        kept += left
    order = {id(one): number for number, one in enumerate(read)}
    return sorted(kept, key=lambda one: order[id(one)]), counts


def _apply_policy(same: list[Labelled], config: IngestConfig, faults: RowErrors) -> list[Labelled]:
    """Return the rows to keep of those with one text."""
    if len(same) == 1:
        return same
    conflict = _have_conflict(same)
    key = "on_conflict" if conflict else "on_duplicates"
    policy = config.on_conflict if conflict else config.on_duplicates
    if policy == "error":
        faults.add(
            f"equal texts with {'different' if conflict else 'equal'} labels",
            " and ".join(one.place for one in same[: config.max_examples]),
            next_step=f"Correct them, or set classify.ingest.{key}=drop or keep",
        )
    if policy == "keep" or same[0].role == TEST:
        return same
    return [] if conflict else same[:1]


def _have_conflict(same: Sequence[Labelled]) -> bool:
    return len({one.labels for one in same}) > 1


def _table(kept: Sequence[Labelled]) -> pa.Table:
    targets = np.asarray([one.labels for one in kept], np.int8)
    return pa.table(
        {
            ROW: pa.array(range(len(kept)), pa.int64()),
            ID: pa.array([one.id for one in kept], pa.string()),
            TEXT: pa.array([one.text for one in kept], pa.string()),
            LABELS: label_lists(targets),
            ROLE: pa.array([one.role for one in kept], pa.string()),
        }
    )


def _report(
    sources: Sources,
    reader: LabelReader,
    kept: Sequence[Labelled],
    repeats: dict[str, int],
    *,
    rows: dict[str, int],
) -> Report:
    """Report what was read, left out and changed, and how often each label occurs."""
    dropped = {"empty": reader.num_empty, **{k: n for k, n in repeats.items() if k != "kept"}}
    tokens = special_tokens(one.text for one in kept)
    label_counts = Counter(sum(one.labels) for one in kept)
    report: Report = {
        **reading_report(reader, sources, kept=len(kept), dropped=dropped),
        "rows": rows,
        "labels": _count_positives(reader.labels, kept),
        "labels_of_a_text": {str(num): label_counts[num] for num in sorted(label_counts)},
        "characters": spread([len(one.text) for one in kept]),
        "changed": dict(reader.clean.changed),
        "special_tokens": tokens,
    }
    empty = reader.num_empty_tested
    empty_tests = f"{empty} texts of the official test have no letter or digit and were kept"
    report["warnings"] = [
        *drop_warnings(dropped, DROPPED, num_kept=repeats["kept"], texts="texts"),
        *([empty_tests] if empty else []),
        *reader.clean.warnings(),
        *special_warning(tokens, "texts"),
        *(
            f"label {name!r} has no {'positives' if missing else 'negatives'} and cannot be learned"
            for name, counts in report["labels"].items()
            if (missing := not counts[POOL]) or counts[POOL] == rows[POOL]
        ),
    ]
    official = f", of which {rows[TEST]} are the official test" if rows.get(TEST) else ""
    first = f"ingest: {len(kept)} texts with {len(reader.labels)} labels{official}"
    report["headline"] = [first, *report["warnings"]]
    return report


def _count_positives(labels: Sequence[str], kept: Sequence[Labelled]) -> dict[str, dict[str, int]]:
    """Count positives of each label by role."""
    roles = list(dict.fromkeys(one.role for one in kept))
    sums = {
        role: np.sum([one.labels for one in kept if one.role == role], axis=0) for role in roles
    }
    return {
        name: {role: int(sums[role][number]) for role in roles}
        for number, name in enumerate(labels)
    }
