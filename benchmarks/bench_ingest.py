"""A CSV of 20 million rows to ordered, numbered Parquet: time and memory.

Compared, in turns, each in a process of its own:

    count rows     DuckDB only counts the rows of the file
    read, count    DuckDB reads and counts the three columns (SELECT count(user), ...)
    ingest         ours: checks, dense ids, order by user and time, Parquet
    pandas         the plain way: read_csv, sort_values, factorize, to_parquet

Aims: ingest takes at most 4 times the processor time that DuckDB takes to read and count, and less
than 3 GiB. Times are processor times: other users of the machine disturb them less than the wall.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import duckdb

from _harness import Isolated, Report, Timing, run_isolated, seconds_of, show

cpu_seconds_of = partial(seconds_of, clock=time.process_time)

MAX_RATIO = 4.0
MAX_GIB = 3.0
READ = "read, count"
OURS = "ingest"
WAYS = {"count rows": "count_rows", READ: "read_and_count", OURS: "ours", "pandas": "pandas_way"}


GENERATE = """
    COPY (
        SELECT
            hash(i) % greatest(2, $rows // 100) * 7 + 1000 AS user,
            CAST(floor(50000 * power(hash(i + 7) % 1000003 / 1000003.0, 2)) AS BIGINT) * 3 + 1
                AS item,
            1500000000 + hash(i + 13) % 100000000 AS time
        FROM range($rows) t(i)
    ) TO $path (FORMAT csv, HEADER)
"""


def generate(path: Path, rows: int) -> None:
    """Users of about 100 rows, items by popularity, ids with gaps, times at random; no order."""
    duckdb.connect().execute(GENERATE, {"rows": rows, "path": str(path)})


def count_rows(csv: str, out: str) -> float:
    del out
    return cpu_seconds_of(lambda: _scalar("SELECT count(*) FROM read_csv($csv)", csv=csv))


def read_and_count(csv: str, out: str) -> float:
    del out
    query = "SELECT count(user) + count(item) + count(time) FROM read_csv($csv)"
    return cpu_seconds_of(lambda: _scalar(query, csv=csv))


def ours(csv: str, out: str) -> float:
    from seqtune.tasks.recommend.ingest import ingest
    from seqtune.tasks.recommend.params import RecommendConfig

    Path(out).mkdir()
    sources = {"interactions": (Path(csv),)}
    return cpu_seconds_of(lambda: ingest(sources, RecommendConfig(), out=Path(out)))


def pandas_way(csv: str, out: str) -> float:
    import pandas as pd
    import pyarrow.parquet  # noqa: F401  (what to_parquet would import while it is timed)

    Path(out).mkdir()

    def work() -> None:
        frame = pd.read_csv(csv).drop_duplicates().sort_values(["user", "time"], kind="stable")
        frame["user"] = pd.factorize(frame["user"], sort=True)[0].astype("int32")
        frame["item"] = (pd.factorize(frame["item"], sort=True)[0] + 1).astype("int32")
        frame = frame[frame.groupby("user")["item"].transform("size") >= 3]
        frame.to_parquet(Path(out) / "interactions.parquet", index=False)

    return cpu_seconds_of(work)


def _scalar(query: str, **values: str) -> int:
    return int(duckdb.connect().execute(query, values).fetchall()[0][0])


def same_rows(first: Path, second: Path) -> bool:
    """Whether two files hold the same rows in the same order."""
    query = (
        "SELECT count(*) FROM (SELECT *, row_number() OVER () AS n FROM read_parquet($first)) a "
        "FULL JOIN (SELECT *, row_number() OVER () AS n FROM read_parquet($second)) b "
        "ON a.n = b.n WHERE (a.user, a.item, a.time) IS DISTINCT FROM (b.user, b.item, b.time)"
    )
    return _scalar(query, first=str(first), second=str(second)) == 0


def measure(csv: Path, folder: Path, repeats: int) -> dict[str, list[Isolated]]:
    """Every way in turn; the first turn, which also warms the file up, is not counted."""
    found: dict[str, list[Isolated]] = {name: [] for name in WAYS}
    for turn in range(repeats + 1):
        for name, function in WAYS.items():
            if turn == 0 and name == "pandas":
                continue
            out = folder / f"{function}-{turn}"
            result = run_isolated("bench_ingest", function, csv=str(csv), out=str(out))
            if turn > 0:
                found[name].append(result)
    same = same_rows(
        folder / f"ours-{repeats}" / "interactions.parquet",
        folder / f"pandas_way-{repeats}" / "interactions.parquet",
    )
    if not same:
        raise SystemExit("ingest and pandas disagree on the rows: the times mean nothing")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    report = Report("ingest", title=f"Ingest of {options.rows:,} rows of CSV")
    with tempfile.TemporaryDirectory() as directory:
        csv = Path(directory) / "log.csv"
        generate(csv, options.rows)
        mib = csv.stat().st_size / 2**20
        found = measure(csv, Path(directory), options.repeats)
    times = {name: Timing(tuple(run.result for run in runs)) for name, runs in found.items()}
    peaks = {name: max(run.peak_rss_mib for run in runs) for name, runs in found.items()}
    report.text(
        f"{mib:.0f} MiB of text, {options.rows:,} rows of user, item, time in no order. Each way "
        "in a fresh process, in turns; processor times without imports, peak memory of the process."
    )
    report.table(
        ["way", "cpu", f"over '{READ}'", "peak MiB"],
        [
            [name, times[name], show(times[name].median / times[READ].median), f"{peaks[name]:.0f}"]
            for name in WAYS
        ],
    )
    ratio, gib = times[OURS].median / times[READ].median, peaks[OURS] / 1024
    report.text(
        f"Aim: at most {MAX_RATIO} x '{READ}' and less than {MAX_GIB:.0f} GiB. Found "
        f"{show(ratio)} x ({'met' if ratio <= MAX_RATIO else 'missed'}) and {show(gib)} GiB "
        f"({'met' if gib < MAX_GIB else 'missed'}). Ingest and pandas wrote the same rows in the "
        "same order."
    )
    report.write()


if __name__ == "__main__":
    main()
