"""A real S3-compatible server (moto's) on loopback, in a process of its own, for a test session."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from toy_processes import free_port

KEY = "toy"
SECRET = "hunter2"  # noqa: S105
START_SECONDS = 60.0


class ToyS3:
    """Where it answers, and as whom."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @property
    def credentials(self) -> dict[str, Any]:
        """As a catalog entry has them."""
        return {"key": KEY, "secret": SECRET, "client_kwargs": {"endpoint_url": self.endpoint}}

    @property
    def environment(self) -> dict[str, str]:
        """The same for whoever reads them from the environment."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def files(self) -> Any:
        """The server as a file system that sees what is there now."""
        import s3fs

        return s3fs.S3FileSystem(**self.credentials, use_listings_cache=False)

    def new_bucket(self) -> str:
        name = f"toy-{uuid4().hex[:12]}"
        self.files.mkdir(name)
        return name


def missing() -> str:
    """Why it cannot be had here; empty if it can."""
    lacking = [name for name in ("moto", "flask", "s3fs") if find_spec(name) is None]
    return f"not installed: {', '.join(lacking)} (moto[server], s3fs)" if lacking else ""


@contextmanager
def running(*, trusting: bool = True) -> Iterator[ToyS3]:
    """A server for a while; one that is not `trusting` refuses every key."""
    port = free_port()
    settings = {} if trusting else {"INITIAL_NO_AUTH_ACTION_COUNT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--port", str(port)],
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port)
        yield ToyS3(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"moto's server ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"moto's server did not start within {START_SECONDS:.0f} seconds")
