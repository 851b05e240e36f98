"""Open studies through Optuna's gRPC proxy. Import on use: the base install has no gRPC."""

from __future__ import annotations

from typing import NamedTuple

import grpc
from optuna.storages import GrpcStorageProxy

CONNECT_SECONDS = 5.0
ANSWERS = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
)
"""Optuna's client turns these into its own exceptions."""
ADVICE = (
    "Is it running (python -m seqtune.tuning.studies.proxy), is tuning.storage.proxy its address "
    "as workers see it, and is it in no_proxy if http_proxy is set?"
)


def open_proxied(address: str) -> GrpcStorageProxy:
    """Connect to the proxy at host:port and wait until it answers."""
    host, _, port = address.rpartition(":")
    storage = GrpcStorageProxy(host=host, port=int(port))
    try:
        storage.wait_server_ready(timeout=CONNECT_SECONDS)
    except BaseException:
        storage.close()
        raise
    return storage


class ProxyFault(NamedTuple):
    text: str
    passes: bool
    """Whether the same call may succeed later."""


def proxy_fault(error: BaseException) -> ProxyFault | None:
    """Describe a fault between worker and proxy; None for any other error."""
    if isinstance(error, ConnectionError):
        return ProxyFault(f"does not answer. {ADVICE}", True)
    if not isinstance(error, grpc.RpcError) or error.code() in ANSWERS:
        return None
    details = str(error.details()).partition("\n")[0]
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return ProxyFault(f"is not an Optuna proxy ({details}). {ADVICE}", False)
    if error.code() is grpc.StatusCode.UNKNOWN:  # its database failed
        return ProxyFault(f"reports: {details}", True)
    return ProxyFault(f"does not answer: {details}. {ADVICE}", True)
