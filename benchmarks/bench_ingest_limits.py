"""How far ingest goes beyond memory: time, memory and disk of growing logs under a small limit.

DuckDB may hold 512 MiB here (1800 MiB as shipped), so that the bend that a large log would show is
found with a small one. Two kinds of log, each of user, item and time in no order:

    numbers    a CSV of whole numbers: read as numbers, joined with their dense ones per range
    text       a CSV whose ids are text: joined with their dense numbers once, and held so

And two ends of the road: too little memory for anything, and a disk that is full.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import duckdb

from _harness import Isolated, Report, Timing, run_isolated, show

MIB = 1 << 20
LIMIT = "512MiB"
ROWS = {
    "numbers": (1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000),
    "text": (1_000_000, 3_000_000, 10_000_000, 30_000_000),
}
REPEATED_ROWS = 10_000_000
"""Logs up to it are read three times, larger ones once."""
BEND = 1.5
"""Times the least time per row: from there on, the curve is called bent."""

GENERATE = """
    COPY (
        SELECT $user AS user, $item AS item, 1500000000 + hash(i + 13) % 100000000 AS time
        FROM (
            SELECT
                i,
                CAST(hash(i) % greatest(2, $rows // 100) * 7 + 1000 AS BIGINT) AS u,
                CAST(floor(50000 * power(hash(i + 7) % 1000003 / 1000003.0, 2)) AS BIGINT) AS v
            FROM range($rows) t(i)
        )
    ) TO '$path' (FORMAT csv, HEADER)
"""
IDS = {"numbers": ("u", "v"), "text": ("printf('u%012d', u)", "printf('item-%08d', v)")}


def generate(path: Path, kind: str, rows: int) -> None:
    """Users of about 100 rows, 50 000 items by popularity, times at random."""
    user, item = IDS[kind]
    query = GENERATE.replace("$user", user).replace("$item", item)
    duckdb.connect().execute(query.replace("$rows", str(rows)).replace("$path", str(path)))


def read(csv: str, out: str, limit: str, spill: str | None = None) -> dict[str, Any]:
    """Ingest a log; the most bytes that stood below `out` at any moment, and what is left."""
    from seqtune.tasks.recommend.ingest import engine, steps
    from seqtune.tasks.recommend.params import RecommendConfig

    engine.MEMORY_LIMIT = limit
    if spill:
        steps.connect = partial(_connect, engine.connect, spill)  # type: ignore[attr-defined]
    Path(out).mkdir()
    began = time.process_time()
    with watched(Path(out)) as seen:
        sources = {"interactions": (Path(csv),)}
        error = _failure(lambda: steps.ingest(sources, RecommendConfig(), out=Path(out)))
    return {
        "cpu": time.process_time() - began,
        "peak_mib": max(seen, default=0) / MIB,
        "left_mib": _bytes(Path(out)) / MIB,
        **error,
    }


@contextmanager
def _connect(connect: Any, spill: str, temporary: Path) -> Iterator[Any]:
    """The connection of an ingest, on a disk that has only so much room for what is spilled."""
    with connect(temporary) as connection:
        connection.execute(f"SET max_temp_directory_size = '{spill}'")
        yield connection


def _failure(work: Callable[[], Any]) -> dict[str, str]:
    try:
        work()
    except Exception as error:  # noqa: BLE001  # what it says is what is looked for
        return {"error": f"{type(error).__name__}: {error}"}
    return {}


@contextmanager
def watched(folder: Path) -> Iterator[list[int]]:
    """Bytes below a folder, five times a second."""
    seen: list[int] = []
    done = Event()

    def look() -> None:
        while not done.wait(0.2):
            seen.append(_bytes(folder))

    thread = Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # spilled files come and go
            total += path.stat().st_size if path.is_file() else 0
    return total


def measure(kind: str, rows: int, folder: Path, **more: Any) -> tuple[float, list[Isolated]]:
    """MiB of a log, and how it was read, once or several times."""
    csv = folder / "log.csv"
    generate(csv, kind, rows)
    found = []
    for turn in range(3 if rows <= REPEATED_ROWS and not more.get("spill") else 1):
        out = folder / f"out-{turn}"
        found.append(
            run_isolated(
                "bench_ingest_limits",
                "read",
                csv=str(csv),
                out=str(out),
                **{"limit": LIMIT, **more},
            )
        )
        shutil.rmtree(out)
    return csv.stat().st_size / MIB, found


def row_of(rows: int, mib: float, runs: list[Isolated]) -> list[str]:
    disk = max(run.result["peak_mib"] for run in runs)
    left = runs[0].result["left_mib"]
    return [
        f"{rows / 1e6:.0f} M",
        f"{mib:.0f}",
        str(Timing(tuple(run.seconds for run in runs))),
        str(cpu_of(runs)),
        show(cpu_of(runs).median / rows * 1e6),
        f"{max(run.peak_rss_mib for run in runs):.0f}",
        f"{disk:.0f}",
        show(max(0.0, disk - left) * MIB / rows),
        show(left * MIB / rows),
    ]


def cpu_of(runs: list[Isolated]) -> Timing:
    return Timing(tuple(run.result["cpu"] for run in runs))


COLUMNS = [
    "rows",
    "file MiB",
    "wall",
    "cpu",
    "cpu us a row",
    "peak memory MiB",
    "peak disk MiB",
    "spilled B a row",
    "kept B a row",
]


def grow(report: Report, kind: str, sizes: tuple[int, ...], folder: Path) -> None:
    table, costs = [], {}
    for rows in sizes:
        mib, runs = measure(kind, rows, folder)
        table.append(row_of(rows, mib, runs))
        costs[rows] = cpu_of(runs).median / rows
        print(kind, *table[-1], flush=True)
    report.text(f"## {kind}")
    report.table(COLUMNS, table)
    least = min(costs.values())
    bent = [rows for rows in sizes if costs[rows] > BEND * least and rows > sizes[0]]
    largest = f"{sizes[-1] / 1e6:.0f} M rows"
    bend = f"bends at {bent[0] / 1e6:.0f} M rows" if bent else f"does not bend up to {largest}"
    report.text(f"Processor time per row {bend} (bent: {BEND} x the least).")


def ends(report: Report, folder: Path) -> None:
    """What is said where it cannot go on."""
    report.text("## Where it ends")
    lines = []
    for what, more in (
        ("32 MiB of memory", {"limit": "32MiB"}),
        ("a disk with 100 MiB for what is spilled", {"limit": "128MiB", "spill": "100MiB"}),
    ):
        _, runs = measure("text", REPEATED_ROWS, folder, **more)
        lines.append([what, runs[0].result.get("error", "it went through"), show(runs[0].seconds)])
    report.table(["with", f"{REPEATED_ROWS / 1e6:.0f} M rows of text end in", "seconds"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--most", type=int, default=100_000_000, help="rows of the largest log")
    options = parser.parse_args()
    report = Report("ingest_limits", title=f"Ingest beyond memory: DuckDB with {LIMIT}")
    report.text(
        "Each run in a fresh process; cpu is the processor time of all its threads, which a "
        "machine that others use disturbs less than the wall; disk is everything below the output "
        "folder, spilled files included, looked at five times a second. Users of about 100 rows, "
        "50 000 items."
    )
    with tempfile.TemporaryDirectory() as directory:
        for kind, sizes in ROWS.items():
            chosen = tuple(rows for rows in sizes if rows <= options.most)
            grow(report, kind, chosen, Path(directory))
        ends(report, Path(directory))
    report.write()


if __name__ == "__main__":
    main()
