"""What importing the package does to the process, and what it must not."""

from __future__ import annotations

import os
import subprocess
import sys

SWITCHES = {
    "KEDRO_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "passive",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
}
SHOW = f"""
import os, sys, seqtune
print([os.environ.get(switch) for switch in {list(SWITCHES)}], "torch" in sys.modules)
"""


def shown(**environment: str) -> str:
    clean = {key: value for key, value in os.environ.items() if key not in SWITCHES}
    command = [sys.executable, "-c", SHOW]
    result = subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_switches_are_set_before_anything_heavy_is_loaded() -> None:
    assert shown() == f"{list(SWITCHES.values())} False"


def test_a_users_own_choice_wins() -> None:
    assert "'active'" in shown(OMP_WAIT_POLICY="active")
