"""SASRec of RecTools on the development data, for docs/results.md: what a peer's defaults give.

    python benchmarks/quality_rectools.py ml-100k ml-latest-small [--seeds 42] [--venvs build/peers]

Its own settings, on our split, in an environment of its own; it trains until ten epochs bring
nothing on valid, not for its three. Test is scored once, with the epoch that was best on valid.
Lines go to benchmarks/reports/data/recommend_runs.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from _datasets import FILES, split_of
from _harness import ROOT, append_line, provenance
from peers._serving import Data
from peers.client import QUIET
from peers.environments import python_of
from peers.roster import HERE
from peers.work import score
from quality_recommend import OUT, read_runs

NAME = "RecTools SASRec"
SERVER = HERE / "_rectools_sasrec.py"


def main() -> None:
    arguments = parse_arguments()
    python = python_of("rectools", arguments.venvs)
    done = {row["run"] for row in read_runs(arguments.out)}
    for name in arguments.data:
        for seed in arguments.seeds:
            run = f"{NAME}, {name}, seed {seed}"
            if run not in done:
                row = {"run": run, "name": NAME, "data": name, "seed": seed}
                append_line(arguments.out, row | train(name, seed, python))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", nargs="+", choices=list(FILES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--venvs", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def train(name: str, seed: int, python: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rectools-") as scratch:
        folder = Path(scratch)
        split = split_of(name, folder)
        data = Data(np.asarray(split.items, np.int64), np.asarray(split.offsets, np.int64))
        data.save(folder / "data.npz")
        command = [str(python), str(SERVER), "data.npz", ".", str(seed)]
        environment = {**os.environ, **QUIET, "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)
        subprocess.run(command, check=True, cwd=folder, env=environment)
        told = json.loads((folder / "run.json").read_text())
        found = score(np.load(folder / "lists.npy"), data.items[data.offsets[1:] - 1])
    return {
        "test": {"model": {metric: round(value, 5) for metric, value in found.items()}},
        "best_epoch": int(np.argmax(told["curve"])) + 1,
        "curve": [round(value, 5) for value in told["curve"]],
        "minutes": round(told["minutes"], 1),
        **provenance(),
    }


if __name__ == "__main__":
    main()
