"""Compare what two projects made of the same data: weights, tuned values, metrics, predictions.

The newest version of each dataset is read; what tells of time, memory and place is left out. Ends
with 1 if anything differs. With several workers the order in which trials end is part of what a
sampler knows, so proposals are only comparable between runs with `tuning.workers: 1`; trials are
then equal up to the first that is named.

    python benchmarks/compare_runs.py BEFORE AFTER [--data data/sample] [--tolerance 1e-6]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from safetensors.numpy import load_file

VERSION = re.compile(r"\d{4}-\d\d-\d\dT[\d.]+Z")
VOLATILE = re.compile(
    r"seconds|_ms|_mib|memory|throughput|started|ended|_at$|worker|checkpoint$|^ensemble$|path|folder"
    r"|fingerprint|hash|environment|version|^study$|origin$|made_by|made_with|^run$|surroundings"
    r"|from_store$"
)
"""Keys of what two runs of the same code may say differently."""
VOLATILE_COLUMNS = ("started", "seconds", "worker", "study", "metrics", "origin", "reason")
FILES = (
    "06_models/{task}/best_config.yml",
    "06_models/{task}/robust_config.yml",
    "06_models/{task}/narrowed_space.yml",
    "06_models/{task}/config.json",
    "06_models/{task}/*_trials.parquet",
    "07_model_output/{task}/predictions.parquet",
    "07_model_output/{task}/submission.csv",
    "08_reporting/{task}/metrics.json",
    "08_reporting/{task}/ensemble_metrics.json",
    "08_reporting/{task}/ensemble_report.json",
)
WEIGHTS = ("checkpoint", "ensemble", "members")
"""Below 06_models/{task}: the training of the sample, what is combined, and all members."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    verdict: str
    detail: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path, help="a project folder")
    parser.add_argument("after", type=Path, help="another one")
    parser.add_argument("--data", help="data folder in both: data/sample if it is there, or data")
    parser.add_argument("--tolerance", type=float, default=0.0, help="of numbers, relative")
    arguments = parser.parse_args()
    folders = [_data_of(project, arguments.data) for project in (arguments.before, arguments.after)]
    rows = list(compare(*folders, tolerance=arguments.tolerance))
    width = max((len(row.what) for row in rows), default=0)
    for row in rows:
        print(f"{row.what:{width}}  {row.verdict:9}  {row.detail}".rstrip())
    differ = sum(row.verdict != "equal" for row in rows)
    print(f"\n{len(rows) - differ} equal, {differ} not")
    sys.exit(1 if differ or not rows else 0)


def _data_of(project: Path, data: str | None) -> Path:
    names = [data] if data else ["data/sample", "data"]
    found = next(
        (project / name for name in names if (project / name / "06_models").is_dir()), None
    )
    if found is None:
        sys.exit(f"{project} has no {' or '.join(names)} with 06_models; run `make run` there")
    return found


def compare(before: Path, after: Path, *, tolerance: float) -> Iterator[Row]:
    tasks = sorted({path.name for data in (before, after) for path in data.glob("06_models/*")})
    for task in tasks:
        for kind in WEIGHTS:
            yield from _compare_weights(
                f"{task}: {kind}",
                *(_weights(data / "06_models" / task / kind) for data in (before, after)),
            )
        for pattern in FILES:
            old, new = (_newest(data, pattern.format(task=task)) for data in (before, after))
            for name in sorted(old.keys() | new.keys()):
                yield _compare_file(name, old.get(name), new.get(name), tolerance)


def _newest(data: Path, pattern: str) -> dict[str, Path]:
    """The newest version of each dataset of this name, by the name."""
    return {
        str(dataset.relative_to(data)): max(dataset.iterdir()) / dataset.name
        for dataset in data.glob(pattern)
    }


def _weights(folder: Path) -> list[tuple[str, str]]:
    """(file, digest of its tensors) of everything in the newest version, or in all of a store."""
    versions = [path for path in folder.glob("*") if VERSION.fullmatch(path.name)]
    root = max(versions) if versions else folder
    return [(str(file.relative_to(root)), _digest(file)) for file in root.rglob("*.safetensors")]


def _digest(file: Path) -> str:
    """Of names, types, shapes and values, in order of names."""
    found = sha256()
    for name, tensor in sorted(load_file(file).items()):
        found.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        found.update(tensor.tobytes())
    return found.hexdigest()


def _compare_weights(
    what: str, before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> Iterator[Row]:
    """Files are known by what they hold: names of members follow from fingerprints."""
    if not before and not after:
        return
    ours, theirs = ({digest for _, digest in files} for files in (before, after))
    gone = sorted(name for name, digest in before if digest not in theirs)
    new = sorted(name for name, digest in after if digest not in ours)
    named = [f"{where}: {some[0]}" for where, some in (("before", gone), ("after", new)) if some]
    counts = f"{len(ours & theirs)} equal, {len(gone)} only before, {len(new)} only after"
    yield Row(what, "different" if named else "equal", "; ".join([counts, *named]))


def _compare_file(name: str, before: Path | None, after: Path | None, tolerance: float) -> Row:
    if before is None or after is None:
        return Row(name, "different", "only before" if before else "only after")
    read = READERS[before.suffix]
    found = next(_differences(read(before), read(after), tolerance), None)
    return Row(name, "different" if found else "equal", found or "")


def _read_table(path: Path) -> Any:
    table = pd.read_parquet(path)
    table = table.drop(columns=[name for name in VOLATILE_COLUMNS if name in table])
    return json.loads(table.to_json(orient="records"))


READERS: dict[str, Callable[[Path], Any]] = {
    ".yml": lambda path: yaml.safe_load(path.read_text(encoding="utf-8")),
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".csv": lambda path: path.read_text(encoding="utf-8").splitlines(),
    ".parquet": _read_table,
}


def _differences(before: Any, after: Any, tolerance: float, at: str = "") -> Iterator[str]:
    """What differs, by place: `values.training.lr: 0.001 -> 0.002`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            if not VOLATILE.search(str(key)):
                pair = before.get(key), after.get(key)
                yield from _differences(*pair, tolerance, f"{at}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list):
        before, after = ([one for one in rows if not _is_note(one)] for rows in (before, after))
        for number, pair in enumerate(zip(before, after, strict=False)):
            yield from _differences(*pair, tolerance, f"{at}[{number}]")
        if len(before) != len(after):
            yield f"{at}: {len(before)} -> {len(after)} rows"
    elif not _same(before, after, tolerance):
        yield f"{at}: {before!r} -> {after!r}"[:160]


def _is_note(value: Any) -> bool:
    """Whether a line only says that a result on test is that of an earlier run."""
    return isinstance(value, str) and value.startswith("test was scored before")


def _same(before: Any, after: Any, tolerance: float) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        return before == after or abs(before - after) <= tolerance * max(abs(before), abs(after))
    if isinstance(before, str) and isinstance(after, str):
        return _without_places(before) == _without_places(after)
    return bool(before == after)


def _without_places(text: str) -> str:
    """A text without the folders and versions in it."""
    return VERSION.sub("VERSION", re.sub(r"\S*/data/(sample/)?", "DATA/", text))


if __name__ == "__main__":
    main()
