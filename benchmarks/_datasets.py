"""The development data of `recommend`, ingested and split by the task's own functions.

Protocol P1 of ml-1m.txt follows from the file: it has no times, so the order of its rows counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _harness import shared_data
from seqtune.core.resolve import Layer, resolve, unflatten
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.params import RecommendConfig

FILES = {
    "ml-1m": "ml-1m.txt",
    "ml-100k": "ml-100k.inter",
    "ml-latest-small": "ml-latest-small-ratings.csv",
    "toys": "toys-5core.csv",
}
READ: dict[str, dict[str, Any]] = {
    "ml-1m": {
        "ingest.header": False,
        "ingest.file_columns": ["user", "item"],
        "ingest.columns.time": None,
    },
    "ml-100k": {
        "ingest.columns.user": "user_id:token",
        "ingest.columns.item": "item_id:token",
        "ingest.columns.time": "timestamp:float",
    },
    "ml-latest-small": {
        "ingest.columns.user": "userId",
        "ingest.columns.item": "movieId",
        "ingest.columns.time": "timestamp",
    },
    "toys": {"ingest.columns.time": None},
}
"""What a user would write into conf/local to read each file."""


def split_of(name: str, folder: Path, *, source: Path | None = None) -> SplitData:
    """Ingest and split a data set below `folder`, once; then open it. `source` may be another file
    with the same columns."""
    made = folder / name
    if not (made / "split").is_dir():
        source = source or shared_data() / "recommend" / FILES[name]
        if not source.is_file():
            raise FileNotFoundError(f"{source} is missing; set SEQTUNE_DATA to the data folder")
        layer = Layer("read", unflatten(READ[name]))
        config = resolve(RecommendConfig, layer, root="recommend").config
        for part in ("interactions", "split"):
            (made / part).mkdir(parents=True, exist_ok=True)
        sources = {role: (source,) if role == "interactions" else () for role in TASK.sources}
        TASK.ingest(sources, config, out=made / "interactions")
        TASK.split(made / "interactions", config, out=made / "split")
    return SplitData.open(made / "split")
