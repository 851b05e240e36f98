"""Serving: time to answer on one core by catalogue and clients, and hours of work with swaps.

A causal transformer with item-to-item counts as the preset auto makes it (hidden 64, 2 layers, 50
items), trained for one step on random items, exported by the stage's own code, and served by
`python -m seqtune_serve` on a core of its own. Clients are in this process, on the other cores, and
ask as soon as they are answered.

    python benchmarks/bench_serving.py [--minutes 10] [--seconds 10] [--items 3000 50000] [--try]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper, numpy_helper

from _harness import ROOT, Report, Timing, interleaved, show
from _http import Load, ask
from bench_catalogue import BATCH, configuration, random_split
from seqtune.core.config import ExportConfig
from seqtune.pipelines.export.folder import finish
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.params import PredictConfig
from seqtune.training import fit
from seqtune_serve.graphs import Floats, Graph
from seqtune_serve.recommend import best

MODEL = {
    "objective": "causal",
    "relative_positions": True,
    "filter_share": 0.7,
    "item_to_item": 0.4,
}
LENGTH, K = 50, 10
CLIENTS = (1, 8, 64)
CLIENTS_OF_LOAD = 8
SWAP_SECONDS = 60.0
VERSION = "2026-01-01T00.00.{:02d}.{:03d}Z"


def main() -> None:
    arguments = parse_arguments()
    report = Report("serving", title="Serving recommendations on one core")
    with tempfile.TemporaryDirectory() as name:
        exports = {n: make_export(Path(name) / str(n), n) for n in arguments.items}
        tell_latencies(report, exports, seconds=arguments.seconds)
        tell_lists(report)
        largest = max(arguments.items)
        tell_load(report, exports[largest], num_items=largest, minutes=arguments.minutes)
    report.show(keep=arguments.keep)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--items", type=int, nargs="+", default=(3_000, 50_000))
    parser.add_argument("--seconds", type=float, default=10.0, help="of each row of latencies")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the load with swaps")
    parser.add_argument("--try", dest="keep", action="store_false", help="keep no report")
    return parser.parse_args()


def make_export(folder: Path, num_items: int) -> Path:
    """The folder of an export's versions, with one version."""
    config = configuration(**MODEL)
    data = random_split(folder / "split", num_users=8 * BATCH, num_items=num_items)
    trained = fit(TASK, config, data, directory=folder / "run", fingerprint="b", progress=False)
    out = folder / "exports" / VERSION.format(0, 0) / "export"
    out.mkdir(parents=True)
    assert TASK.export
    settings = ExportConfig(check_rows=BATCH)
    made = TASK.export(trained.checkpoint, data, PredictConfig(), settings, out=out)
    finish(out, TASK.name, *made, None)
    return folder / "exports"


# ---- latency -----------------------------------------------------------------------------------


def tell_latencies(report: Report, exports: dict[int, Path], *, seconds: float) -> None:
    rows = []
    for (num_items, folder), precision in itertools.product(exports.items(), ("fp32", "int8")):
        with served(folder, precision) as (port, process):
            asyncio.run(ask(port, requests_for(num_items), clients=8, seconds=1.0))  # warm up
            for clients in CLIENTS:
                body, before = requests_for(num_items), processor_seconds(process)
                load = asyncio.run(ask(port, body, clients=clients, seconds=seconds))
                assert not load.errors, load.errors[0]
                worked = (processor_seconds(process) - before) / len(load.seconds)
                row = [f"{num_items:,}", precision, clients, *percentiles(load)]
                rows.append([*row, show(1000 * worked), f"{len(load.seconds) / seconds:.0f}"])
    columns = ["items", "graphs", "clients", "p50, ms", "p99, ms"]
    report.table([*columns, "processor time of the server, ms an answer", "answers a second"], rows)


def processor_seconds(process: psutil.Process) -> float:
    """What it has worked so far: it says something on a busy machine too."""
    times = process.cpu_times()
    return float(times.user + times.system)


def percentiles(load: Load) -> list[str]:
    return [show(1000 * float(np.percentile(load.seconds, share))) for share in (50, 99)]


def requests_for(num_items: int) -> Callable[[], bytes]:
    """Bodies with histories of 1 to `LENGTH` items, the same in every run."""
    random = np.random.default_rng(0)

    def body() -> bytes:
        history = random.integers(0, num_items, random.integers(1, LENGTH + 1)).tolist()
        return json.dumps({"history": history, "k": K}).encode()

    return body


@contextmanager
def served(folder: Path, precision: str) -> Iterator[tuple[int, psutil.Process]]:
    """A server on the first core; this process keeps to the others."""
    first, *others = sorted(os.sched_getaffinity(0))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "seqtune_serve", str(folder), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    options = ["--precision", precision, "--poll-s", "1", "--timeout-s", "30"]
    process = psutil.Popen([*command, *options], env=environment, stderr=subprocess.DEVNULL)
    try:
        process.cpu_affinity([first])
        os.sched_setaffinity(0, others or [first])
        wait_for(port, process)
        yield port, process
    finally:
        process.terminate()
        process.wait()
        os.sched_setaffinity(0, [first, *others])


def wait_for(port: int, process: psutil.Process) -> None:
    while process.is_running():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server ended")


# ---- ways to a list ----------------------------------------------------------------------------


def tell_lists(report: Report, *, num_items: int = 50_000, hidden: int = 64) -> None:
    """Compare ways from hidden states to lists, without exclusions."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        weight = np.random.default_rng(0).normal(size=(hidden, num_items)).astype(np.float32)
        for topk in (False, True):
            onnx.save(product(weight, topk=topk), Path(name) / f"{topk}.onnx")
        graphs = [Graph(Path(name) / f"{topk}.onnx", num_threads=1) for topk in (False, True)]
        for batch in (1, 8, 64):
            states = np.random.default_rng(1).normal(size=(batch, hidden)).astype(np.float32)
            timings = interleaved(ways(graphs[0], graphs[1], weight, states), times=30)
            rows.append([batch, *map(milliseconds, timings.values())])
    columns = ["batch", "graph, argpartition", "graph with TopK", "NumPy, argpartition"]
    report.text(f"From hidden states to the best {K} of {num_items:,} items, ms:")
    report.table(columns, rows)


def ways(
    scores: Graph, lists: Graph, weight: Floats, states: Floats
) -> dict[str, Callable[[], object]]:
    return {
        "argpartition": lambda: [best(row, K) for row in scores("y", x=states)],
        "TopK": lambda: lists("items", x=states),
        "NumPy": lambda: [best(row, K) for row in states @ weight],
    }


def product(weight: Floats, *, topk: bool) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", weight.shape[0]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", weight.shape[1]])
    items = helper.make_tensor_value_info("items", TensorProto.INT64, ["b", K])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    constants = [numpy_helper.from_array(weight, "w")]
    if topk:
        nodes.append(helper.make_node("TopK", ["y", "k"], ["values", "items"]))
        constants.append(numpy_helper.from_array(np.array([K]), "k"))
    graph = helper.make_graph(nodes, "product", [x], [items if topk else y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def milliseconds(timing: Timing) -> str:
    return show(1000 * timing.median)


# ---- load --------------------------------------------------------------------------------------


def tell_load(report: Report, folder: Path, *, num_items: int, minutes: float) -> None:
    every = min(SWAP_SECONDS, 60.0 * minutes / 4)
    with served(folder, "fp32") as (port, process):
        load, sizes, swaps = asyncio.run(
            swap_under_load(folder, port, process, num_items, minutes=minutes, every=every)
        )
    third = max(len(sizes) // 3, 1)
    report.text(
        f"{CLIENTS_OF_LOAD} clients for {minutes:g} minutes, a swap every {every:.0f} s: "
        f"{len(load.seconds):,} answers, {len(load.errors)} errors, {swaps} swaps; p50 and p99 "
        f"{' and '.join(percentiles(load))} ms. Resident memory, MiB: {sizes[0]:.0f} at the start, "
        f"{max(sizes[:third]):.0f} at most in the first third, {max(sizes[-third:]):.0f} in the "
        f"last."
    )
    for error in load.errors[:5]:
        report.text(f"- {error}")


async def swap_under_load(
    folder: Path,
    port: int,
    process: psutil.Process,
    num_items: int,
    *,
    minutes: float,
    every: float,
) -> tuple[Load, list[float], int]:
    """Publish copies of the export while clients ask; return memory each second too."""
    clients = asyncio.create_task(
        ask(port, requests_for(num_items), clients=CLIENTS_OF_LOAD, seconds=60.0 * minutes)
    )
    sizes, swaps, next_swap = [], 0, time.monotonic() + every
    while not clients.done():
        sizes.append(process.memory_info().rss / (1 << 20))
        if time.monotonic() >= next_swap:
            swaps, next_swap = swaps + 1, next_swap + every
            await asyncio.to_thread(publish_copy, folder, number=swaps)
        await asyncio.wait([clients], timeout=1.0)
    return clients.result(), sizes, swaps


def publish_copy(folder: Path, *, number: int) -> None:
    """Publish the first version again under a newer name, by rename; only two stay."""
    made = folder.with_name("copy")
    shutil.copytree(folder / VERSION.format(0, 0), made)
    made.rename(folder / VERSION.format(number // 1000, number % 1000))
    if number > 2:
        older = number - 2
        shutil.rmtree(folder / VERSION.format(older // 1000, older % 1000))


if __name__ == "__main__":
    main()
