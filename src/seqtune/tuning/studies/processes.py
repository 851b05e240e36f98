"""Identify the process that runs a trial, and check that it is alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


def worker_identity(name: str = "") -> dict[str, Any]:
    """Describe this process so that a later one with the same number differs."""
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": pid,
        "started": _start_time(pid),
        "name": name,
    }


def worker_name(identity: Mapping[str, Any]) -> str:
    """Return the name to show in messages."""
    if not identity:
        return ""
    return str(identity.get("name") or f"{identity.get('host')}:{identity.get('pid')}")


def is_here(identity: Mapping[str, Any]) -> bool:
    """Whether that process runs, or ran, on this machine since its last boot."""
    return identity.get("host") == socket.gethostname() and identity.get("boot") == _boot()


def is_alive(identity: Mapping[str, Any]) -> bool | None:
    """Whether that process still runs; None if it is not visible from here."""
    if not is_here(identity):
        return None
    pid, started = int(identity["pid"]), str(identity.get("started", ""))
    if started:
        return _start_time(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """Return the start in clock ticks since boot; empty for a dead process or without /proc."""
    try:
        # the program name, in parentheses, may contain spaces and parentheses
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, started = fields[0], fields[19]
    return "" if state in ("Z", "X") else started  # zombie, dead
