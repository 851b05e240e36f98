"""Which process runs a trial, and whether it still lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any


def worker_identity(name: str = "") -> dict[str, Any]:
    """This process, told apart from a later one with the same number."""
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": pid,
        "started": _start_time(pid),
        "name": name,
    }


def worker_name(identity: Mapping[str, Any]) -> str:
    """For people."""
    if not identity:
        return ""
    return str(identity.get("name") or f"{identity.get('host')}:{identity.get('pid')}")


def is_here(identity: Mapping[str, Any]) -> bool:
    """Whether that process runs, or ran, on this machine since it was switched on."""
    return identity.get("host") == socket.gethostname() and identity.get("boot") == _boot()


def is_alive(identity: Mapping[str, Any]) -> bool | None:
    """Whether that very process still runs; None where it cannot be seen from here."""
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
        return True
    return True


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


_DEAD: Collection[str] = ("Z", "X")


def _start_time(pid: int) -> str:
    """Ticks since the machine was switched on; empty for no such process, or no /proc."""
    try:
        # the name of the program, in parentheses, may hold spaces and parentheses
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, started = fields[0], fields[19]
    return "" if state in _DEAD else started
