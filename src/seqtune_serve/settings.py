"""Settings of the server: the options of the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .graphs import PRECISIONS

TOKEN_VARIABLE = "SEQTUNE_SERVE_TOKEN"  # noqa: S105  # the name of a variable, no token
LAST_PORT = 65_535
EPILOG = f"""\
POST /recommend  {{"history": ["film-7", "film-42"], "k": 10}}, and where wanted "exclude",
                 "include_only" (lists of items) and "exclude_seen"
POST /classify   {{"text": "..."}}, and where wanted "only_given"
GET  /health     the version that is served (no token needed)
GET  /metrics    for Prometheus

If {TOKEN_VARIABLE} is set, requests need the header `Authorization: Bearer <token>`.
A newer version that is exported into FOLDER is taken up while the server runs; so is an older one
when the newest is removed.
"""


def _option(default: Any, description: str) -> Any:
    return field(default=default, metadata={"help": f"{description} (default: {default})"})


@dataclass(frozen=True)
class ServeSettings:
    """How to serve, and what to refuse."""

    folder: Path
    host: str = _option("127.0.0.1", "address to listen on; 0.0.0.0: for other machines too")
    port: int = _option(8321, "port to listen on")
    precision: str = _option("fp32", f"graphs to load: {' or '.join(PRECISIONS)}")
    threads: int = _option(1, "threads that compute a batch")
    max_batch: int = _option(64, "most requests that are computed at once")
    batch_wait_ms: float = _option(0.0, "how long to wait for more before a batch begins")
    max_waiting: int = _option(256, "requests that may wait; others get status 429")
    timeout_s: float = _option(2.0, "seconds a request may take; then it gets status 503")
    poll_s: float = _option(5.0, "seconds between looks for another version")
    max_k: int = _option(1000, "longest list")
    max_history: int = _option(10_000, "most items of history, exclude or include_only")
    max_text: int = _option(100_000, "longest text, in characters")
    max_body_kib: int = _option(1024, "largest body of a request, in KiB")
    token: str = ""


def parse_settings(arguments: list[str] | None = None) -> ServeSettings:
    """Read the command line, and the token from the environment."""
    parser = argparse.ArgumentParser(
        "seqtune-serve",
        description="Serve an exported model over HTTP.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", type=Path, help="the folder of an export's versions, or of one version"
    )
    kinds: dict[str, Callable[[str], Any]] = {"int": _whole, "float": _number, "str": str}
    for option in fields(ServeSettings):
        if "help" in option.metadata:
            parser.add_argument(
                f"--{option.name.replace('_', '-')}",
                type=kinds[str(option.type)],
                default=option.default,
                choices=PRECISIONS if option.name == "precision" else None,
                metavar="N" if option.type != "str" else "TEXT",
                help=option.metadata["help"],
            )
    parsed = vars(parser.parse_args(arguments))
    if parsed["port"] > LAST_PORT:
        parser.error(f"argument --port: {parsed['port']} is above {LAST_PORT}, the last port")
    return ServeSettings(**parsed, token=os.environ.get(TOKEN_VARIABLE, ""))


def _whole(text: str) -> int:
    if not (text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value
