"""How cost grows: users, length, items and trials are doubled in turn; time and memory are drawn.

Generated data. Each point is measured in a process of its own: seconds of the work without
imports, and how far memory rose above what stood there before the work. An exponent of 1 is a line:
twice the size, twice the cost. Two are given for each: between the largest size and that of two
doublings before, where what does not grow weighs least, and the slope of a line through all points.
Nothing is subtracted.

    python benchmarks/bench_growth.py [--clock cpu] [--only users items] [--try]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from _charts import Curve, Panel, draw
from _growth import BATCH, HIDDEN, LAYERS
from _harness import CLOCKS, Isolated, Report, run_isolated, show
from _movielens import write_split
from seqtune.core.columns import USER, USER_ID
from seqtune.tasks.recommend.data import USERS_TABLE
from seqtune.tasks.recommend.models.config import ModelConfig

DOUBLINGS = 3
TOLERANCE = 0.15
"""An exponent above what is demanded by more than this is said to be."""
SMALL_MIB = 8.0
"""Where memory rises by less at the largest size, its exponent is noise."""
ROWS_A_USER = 30
SAMPLED = {"num_negatives": 512}
LAZY = {**SAMPLED, "lazy_embeddings": True}


class Size(NamedTuple):
    users: int
    length: int
    items: int


FIRST = {
    "ingest": 100_000,
    "epoch": {
        "users": Size(2048, 50, 4000),
        "length": Size(1024, 50, 4000),
        "items": Size(1024, 50, 8000),
    },
    "rank": {
        "users": Size(4096, 50, 4000),
        "length": Size(2048, 50, 4000),
        "items": Size(2048, 50, 8000),
    },
    "study": 50,
}


@dataclass
class Growth:
    """One work over one size that is doubled."""

    what: str
    along: str
    demanded: float
    why: str
    sizes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    def add(self, size: int, found: Mapping[str, float]) -> None:
        print(f"{self.what}, {self.along} {size:,}: {found}", flush=True)
        self.sizes.append(size)
        self.seconds.append(found["seconds"])
        self.mib.append(found["mib"])

    @property
    def exponent(self) -> float:
        return last_doublings(self.sizes, self.seconds)

    @property
    def memory_exponent(self) -> float | None:
        known = max(self.mib) >= SMALL_MIB and min(self.mib) > 0
        return last_doublings(self.sizes, self.mib) if known else None

    @property
    def row(self) -> list[str]:
        memory = self.memory_exponent
        return [
            self.what,
            f"{self.along} {self.sizes[0]:,} to {self.sizes[-1]:,}",
            f"{show(self.seconds[0])} to {show(self.seconds[-1])}",
            f"{self.exponent:.2f} ({overall(self.sizes, self.seconds):.2f})",
            f"{show(self.mib[0])} to {show(self.mib[-1])}",
            "-" if memory is None else f"{memory:.2f} ({overall(self.sizes, self.mib):.2f})",
            f"{self.demanded:g}: {self.why}",
            "yes" if max(self.exponent, memory or 0) <= self.demanded + TOLERANCE else "NO",
        ]


COLUMNS = (
    *("what", "grows with", "seconds", "exponent of time (of all points)"),
    *("MiB above the start", "exponent of memory (of all points)"),
    *("what mathematics demands", "within it"),
)


def last_doublings(sizes: list[int], costs: list[float]) -> float:
    """The slope from two doublings before the last to the last."""
    return float(np.log(costs[-1] / costs[-3]) / np.log(sizes[-1] / sizes[-3]))


def overall(sizes: list[int], costs: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def main() -> None:
    arguments = parse_arguments()
    report = Report("growth", title="How cost grows")
    report.text(
        f"Generated data; BERT4Rec of hidden {HIDDEN}, {LAYERS} layers, batch {BATCH}. Seconds of "
        f"the {arguments.clock} clock. Exponent: the slope over the last two doublings, in "
        "brackets that of a line through all points; nothing was subtracted, so what does not grow "
        "makes both smaller. Memory: how far the process rose above what stood there before the "
        "work."
    )
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), clock=arguments.clock, scale=8 if arguments.is_try else 1)
        growths = [one for along in arguments.only for one in PARTS[along](bench)]
    report.table(COLUMNS, [one.row for one in growths])
    picture = draw([panel for cost in ("seconds", "mib") for panel in panels(growths, cost)])
    if arguments.is_try:
        print(report.markdown())
        Path(tempfile.gettempdir(), "growth.svg").write_text(picture, encoding="utf-8")
        return
    page = report.write()
    page.with_suffix(".svg").write_text(picture, encoding="utf-8")
    with page.open("a", encoding="utf-8") as file:
        file.write(f"\n![cost over size]({page.with_suffix('.svg').name})\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: one thread's")
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--try", dest="is_try", action="store_true", help="small; no report")
    return parser.parse_args()


def panels(growths: list[Growth], cost: str) -> Iterator[Panel]:
    """One for each size that is doubled; costs as multiples of the first."""
    for along in dict.fromkeys(one.along for one in growths):
        curves = [
            Curve(
                one.what,
                [size / one.sizes[0] for size in one.sizes],
                [value / max(getattr(one, cost)[0], 1e-9) for value in getattr(one, cost)],
            )
            for one in growths
            if one.along == along and (cost == "seconds" or one.memory_exponent is not None)
        ]
        yield Panel(f"{'time' if cost == 'seconds' else 'memory'} over {along}", curves)


# ---- the works ---------------------------------------------------------------------------------


class Bench:
    """Makes data and runs works on them, at sizes divided by `scale`."""

    def __init__(self, folder: Path, *, clock: str, scale: int) -> None:
        self.folder, self.clock, self.scale = folder, clock, scale
        self._number = 0

    def run(self, function: str, **arguments: Any) -> dict[str, float]:
        found: Isolated = run_isolated("_growth", function, clock=self.clock, **arguments)
        result: dict[str, float] = found.result
        return result

    def fresh(self) -> Path:
        self._number += 1
        return self.folder / str(self._number)

    def train(self, size: Size, model: Mapping[str, Any]) -> tuple[dict[str, float], str]:
        """What an epoch cost, and the checkpoint."""
        out = self.fresh()
        split = random_split(self.fresh(), size)
        found = self.run(
            "training_epoch", split=str(split), length=size.length, model=model, out=str(out)
        )
        return found, str(out / "checkpoint")


def random_split(folder: Path, size: Size) -> Path:
    """Users of `length` items to train on; the last item of the catalogue is among them."""
    random = np.random.default_rng(0)
    lengths = np.full(size.users, size.length + 2)
    items = random.integers(1, size.items + 1, int(lengths.sum()), dtype=np.int32)
    items[0] = size.items
    write_split(folder, items=items, lengths=lengths, raw_ids=np.arange(size.items))
    users = np.arange(size.users, dtype=np.int64)
    parquet.write_table(pa.table({USER: users, USER_ID: users}), folder / USERS_TABLE)
    return folder


def doubled(first: int) -> list[int]:
    return [first * 2**number for number in range(DOUBLINGS + 1)]


def sizes_along(bench: Bench, along: str, kind: str) -> list[Size]:
    """The first size of the kind of work, one of its numbers doubled."""
    first: Size = FIRST[kind][along]  # type: ignore[index]
    small = first._replace(users=first.users // bench.scale)
    return [small._replace(**{along: number}) for number in doubled(getattr(small, along))]


def ingest(bench: Bench) -> Iterator[Growth]:
    growth = Growth("ingest and split", "users", 1, "each row is read once, and sorted")
    for users in doubled(FIRST["ingest"] // bench.scale):  # type: ignore[operator]
        csv = bench.fresh()
        write_csv(csv, users)
        growth.add(users, bench.run("ingest_and_split", csv=str(csv)))
        csv.unlink()
    yield growth


def write_csv(path: Path, users: int) -> None:
    query = """
        COPY (SELECT hash(i) % $users * 7 + 1000 AS user, hash(i + 7) % 20000 AS item,
              1500000000 + hash(i + 13) % 100000000 AS time
              FROM range($users * $rows) t(i)) TO $path (FORMAT csv, HEADER)
    """
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(query, {"users": users, "rows": ROWS_A_USER, "path": str(path)})


def training(
    bench: Bench, along: str, demanded: float, why: str, *, model: Mapping[str, Any], what: str
) -> Iterator[Growth]:
    growth = Growth(what, along, demanded, why)
    for size in sizes_along(bench, along, "epoch"):
        found, _ = bench.train(size, model)
        growth.add(getattr(size, along), found)
    yield growth


def serving(bench: Bench, along: str, demanded: float, why: str) -> Iterator[Growth]:
    """Full ranking, and top-10: of a model that was trained a little, on few users."""
    ranked = Growth("full-ranking evaluation", along, demanded, why)
    listed = Growth("top-10 for everybody", along, demanded, why)
    checkpoint = ""
    for size in sizes_along(bench, along, "rank"):
        if along != "users" or not checkpoint:
            _, checkpoint = bench.train(size._replace(users=BATCH), {})
        split = str(random_split(bench.fresh(), size))
        for growth, work in ((ranked, "evaluation"), (listed, "prediction")):
            found = bench.run(work, split=split, checkpoint=checkpoint)
            growth.add(getattr(size, along), found)
    yield from (ranked, listed)


def along_users(bench: Bench) -> Iterator[Growth]:
    yield from ingest(bench)
    why = "each sequence is computed once"
    yield from training(bench, "users", 1, why, model={}, what="epoch")
    yield from serving(bench, "users", 1, why)


def along_length(bench: Bench) -> Iterator[Growth]:
    why = "attention is a product of length x length; all else is 1"
    yield from training(bench, "length", 2, why, model={}, what="epoch")
    plain = {"attention_dropout": False}
    what = "epoch, no dropout on attention"
    yield from training(bench, "length", 2, why, model=plain, what=what)
    yield from serving(bench, "length", 2, why)


def along_items(bench: Bench) -> Iterator[Growth]:
    why = "a score for every item"
    yield from training(bench, "items", 1, why, model={}, what="epoch, loss over all items")
    if "num_negatives" in ModelConfig.model_fields:
        what, why_less = f"epoch, {SAMPLED['num_negatives']} drawn items", "the optimiser's moments"
        yield from training(bench, "items", 1, why_less, model=SAMPLED, what=what)
    if "lazy_embeddings" in ModelConfig.model_fields:
        what, why_less = "the same, lazy embeddings", "the state that is saved"
        yield from training(bench, "items", 1, why_less, model=LAZY, what=what)
    yield from serving(bench, "items", 1, why)


def along_trials(bench: Bench) -> Iterator[Growth]:
    whole = Growth("whole study", "trials", 2, "TPE weighs all trials before it proposes one")
    each = Growth("one more trial", "trials", 1, "TPE weighs all trials before")
    for trials in doubled(FIRST["study"]):  # type: ignore[arg-type]
        found = bench.run("study", trials=trials)
        whole.add(trials, found)
        each.add(trials, {"seconds": found["last_trial"], "mib": 0.0})
    yield from (whole, each)


PARTS = {
    "users": along_users,
    "length": along_length,
    "items": along_items,
    "trials": along_trials,
}


if __name__ == "__main__":
    main()
