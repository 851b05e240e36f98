"""Serving to this machine alone."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from seqtune.commands.serving import HOST, address, serve
from seqtune.core.errors import ConfigurationError


def test_taken_port_is_one_clear_error_that_names_another() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(ConfigurationError, match=rf"port {port} is in use.* --port {port + 1}"):
            serve(lambda at: ThreadingHTTPServer(at, BaseHTTPRequestHandler), port, started="")


def test_pages_are_on_loopback() -> None:
    assert address(8080, "dashboard") == "http://127.0.0.1:8080/dashboard"
