"""Checks of the environment of both sides: packages, disk, device, data."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from seqtune.core.config import TrainingConfig
from seqtune.core.format import MIB, format_size
from seqtune.core.task import TrainingData
from seqtune.core.verification import Check

LOCK = "requirements.lock"
IMPORTED = ("torch", "lightning", "numpy", "optuna", "duckdb", "pyarrow", "pandas", "safetensors")
"""Packages that a run needs and that break in practice, mostly compiled ones."""
COPIES = 24
"""How many copies of the weights a run can hold on disk: two states with the optimiser's moments,
two best weights, the checkpoint twice while it is published, and all of that once more."""
LEAST_FREE_MIB = 256.0
COMFORTABLE_MIB = 2048.0


def imports(names: Iterable[str] = IMPORTED) -> Check:
    """Check that the packages that a run needs can be imported."""
    broken = {}
    for name in names:
        try:
            import_module(name)
        except (ImportError, OSError) as error:  # OSError: a shared library is missing
            broken[name] = error
    if broken:
        failed = ", ".join(f"{name} ({error})" for name, error in broken.items())
        return Check("imports", "fail", f"cannot import {failed}", f"pip install -r {LOCK}")
    return Check("imports", "ok", f"{len(tuple(names))} packages can be imported")


def locked(lock: Path, *, distribution: str = "seqtune") -> Check:
    """Check that the installed versions are those that seqtune was tested with."""
    if not lock.is_file():
        return Check("versions", "warn", f"{lock} does not exist, so versions are not compared")
    tested = _pinned(lock.read_text(encoding="utf-8"))
    wanted = _required(distribution) & set(tested) or set(tested)
    here = {name: _installed(name) for name in wanted}
    other = [
        f"{name} {here[name] or 'is missing'} (tested with {tested[name]})"
        for name in sorted(wanted)
        if here[name] != tested[name]
    ]
    if other:
        return Check(
            "versions",
            "warn",
            f"versions differ from {lock.name}: {', '.join(other)}",
            f"results may differ from those of other machines; pip install -r {lock.name}",
        )
    return Check("versions", "ok", f"{len(wanted)} packages have the versions of {lock.name}")


def disk_space(folder: Path, *, model_mib: float) -> Check:
    """Check that the states and the checkpoint of a run fit on the disk."""
    free = shutil.disk_usage(folder).free / MIB
    needed = max(LEAST_FREE_MIB, COPIES * model_mib)
    message, need = f"{format_size(free * MIB)} free in {folder}", format_size(needed * MIB)
    fix = "free space, or set `data` in conf/local/globals.yml to another disk"
    if free < needed:
        return Check("disk", "fail", f"{message}, a run takes up to {need}", fix)
    if free < max(needed, COMFORTABLE_MIB):
        return Check("disk", "warn", f"{message}, which many runs may fill", fix)
    return Check("disk", "ok", message)


def held_out(data: TrainingData, *, name: str, use_full_data: bool) -> Check:
    """Check whether anything is held out from training."""
    message = f"{name}, content {data.content_hash[:12]}"
    if not data.has_validation:
        why = "use_full_data is on" if use_full_data else "no user has a validation item"
        return Check(
            "held out",
            "warn",
            f"{message}: {why}, so nothing is held out: training works, tuning does not",
            "to tune, set split.use_full_data: false and run the split again",
        )
    return Check("held out", "ok", f"{message}, with validation")


def device(config: TrainingConfig, *, origin: str) -> Check:
    """Report the device and number format of both sides; `origin` is that of the precision."""
    from seqtune.training import describe_device

    return Check("device", "ok", f"{describe_device(config)}, {config.precision} ({origin})")


def _pinned(text: str) -> dict[str, str]:
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    pins = (line.partition("==") for line in lines if "==" in line)
    return {canonicalize_name(name.strip()): number for name, _, number in pins}


def _required(distribution: str) -> set[str]:
    """Name what a distribution requires, without extras; empty if it is not installed."""
    try:
        texts = requires(distribution) or []
    except PackageNotFoundError:
        return set()
    needed = (Requirement(text) for text in texts)
    return {canonicalize_name(r.name) for r in needed if r.marker is None or r.marker.evaluate()}


def _installed(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]  # 2.13.0+cpu is a build of 2.13.0
    except PackageNotFoundError:
        return None
