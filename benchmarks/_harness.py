"""What all benchmarks share: repeats with median and spread, peak memory of a process of its own,
a header that says on what a number was measured, and a Markdown report.

    result = repeat(lambda: work(), times=5)         # seconds; result.median, result.spread
    child = run_isolated("bench_rank", "evaluate", users=6040)   # a fresh process: its peak memory
    report = Report("rank", title="Full ranking")
    report.table(["what", "seconds"], [["bare", str(bare)], ["ours", str(ours)]])
    report.write()                                   # prints, and keeps benchmarks/reports/...
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REPORTS = Path(__file__).resolve().parent / "reports"
LIBRARIES = ("torch", "lightning", "duckdb", "pyarrow", "pandas", "numpy")


def shared_data() -> Path:
    """The folder of the public data sets; SEQTUNE_DATA names another one."""
    return Path(os.environ.get("SEQTUNE_DATA", ROOT.parent / "shared" / "data"))


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance from the fastest to the slowest repeat."""
        return (max(self.seconds) - min(self.seconds)) / 2

    def __str__(self) -> str:
        return f"{show(self.median)} ± {show(self.spread)} s (n={len(self.seconds)})"


def show(number: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
"""On a machine that others use too, the processor time of one thread says more than the wall."""


def repeat(
    work: Callable[[], Any], *, times: int = 5, warm_up: int = 1, clock: Clock = time.perf_counter
) -> Timing:
    """Run it `warm_up` times unmeasured, then `times` times measured."""
    for _ in range(warm_up):
        work()
    return Timing(tuple(seconds_of(work, clock=clock) for _ in range(times)))


def interleaved(
    works: dict[str, Callable[[], Any]],
    *,
    times: int = 5,
    warm_up: int = 1,
    clock: Clock = time.perf_counter,
) -> dict[str, Timing]:
    """Time several works in turns, so that a busy machine disturbs all of them alike."""
    for _ in range(warm_up):
        for work in works.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(times):
        for name, work in works.items():
            seconds[name].append(seconds_of(work, clock=clock))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def seconds_of(work: Callable[[], Any], *, clock: Clock = time.perf_counter) -> float:
    start = clock()
    work()
    return clock() - start


@dataclass(frozen=True)
class Isolated:
    """What a process of its own took, and what it returned."""

    seconds: float
    peak_rss_mib: float
    result: Any


def run_isolated(module: str, function: str, **arguments: Any) -> Isolated:
    """Call `benchmarks/<module>.py:<function>(**arguments)` in a fresh process.

    Arguments and result pass as JSON. Time is the function's own; the peak of resident memory is
    the whole process's, imports included.
    """
    with tempfile.TemporaryDirectory() as directory:
        answer = Path(directory) / "answer.json"
        command = [sys.executable, __file__, module, function, json.dumps(arguments), str(answer)]
        paths = os.pathsep.join([str(Path(__file__).parent), str(ROOT / "src")])
        environment = {**os.environ, "PYTHONPATH": paths}
        subprocess.run(command, check=True, env=environment)
        return Isolated(**json.loads(answer.read_text()))


def _call(module: str, function: str, arguments: str, answer: str) -> None:
    target = getattr(__import__(module), function)
    start = time.perf_counter()
    result = target(**json.loads(arguments))
    seconds = time.perf_counter() - start
    found = {"seconds": seconds, "peak_rss_mib": peak_rss_mib(), "result": result}
    Path(answer).write_text(json.dumps(found))


def peak_rss_mib() -> float:
    """Highest resident memory of this process so far."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def processor() -> str:
    """The CPU's name."""
    try:
        names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def accelerator() -> str | None:
    """The GPU's name, where torch is in use and sees one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())


def commit() -> str:
    """The commit measured, marked where files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    try:
        revision = git("rev-parse", "--short", "HEAD")
        return f"{revision or 'none yet'}{'+changes' if git('status', '--porcelain') else ''}"
    except FileNotFoundError:
        return "unknown (no git here)"


def header() -> list[tuple[str, str]]:
    """On what, with what, when."""
    threads = os.environ.get("OMP_NUM_THREADS") or "all"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [("date", datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"))]
    lines += [("commit", commit())]
    lines += [("cpu", f"{processor()}, {cores} cores, OMP_NUM_THREADS {threads}")]
    if hasattr(os, "getloadavg"):
        lines += [("load before", f"{os.getloadavg()[0]:.1f}")]
    if gpu := accelerator():
        lines += [("gpu", gpu)]
    return [*lines, ("python", platform.python_version()), ("libraries", _libraries())]


def provenance() -> dict[str, str]:
    """When, of which commit and where a stored row was made."""
    now = datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d %H:%M")
    return {"at": now, "commit": commit(), "cpu": processor()}


def _libraries() -> str:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines without one that a kill cut off; no file, no rows."""
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
    return [json.loads(line) for line in lines if line]


def append_line(file: Path, row: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row, separators=(",", ":")) + "\n")


@dataclass
class Report:
    """A Markdown page that grows while a benchmark runs; its header is taken at the start."""

    theme: str
    title: str
    parts: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=header)

    def text(self, paragraph: str) -> None:
        self.parts.append(paragraph)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        lines = [columns, ["---"] * len(columns), *rows]
        self.parts.append("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))

    def markdown(self) -> str:
        facts = "\n".join(f"- {name}: {value}" for name, value in self.facts)
        return "\n\n".join([f"# {self.title}", facts, *self.parts]) + "\n"

    def show(self, *, keep: bool) -> None:
        """Print the report; with `keep`, write it too."""
        if keep:
            self.write()
        else:
            print(self.markdown())

    def write(self) -> Path:
        """Print the report and keep it under benchmarks/reports."""
        hardware = accelerator() or processor()
        slug = re.sub(r"[^a-z0-9]+", "-", hardware.lower()).strip("-")
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        REPORTS.mkdir(parents=True, exist_ok=True)
        path = REPORTS / f"{self.theme}_{slug}_{today}.md"
        path.write_text(self.markdown())
        print(self.markdown())
        print(f"written to {path.relative_to(ROOT)}")
        return path


if __name__ == "__main__":
    _call(*sys.argv[1:])
