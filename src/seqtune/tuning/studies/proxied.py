"""Studies through a proxy, as workers see them: what `proxy` serves.

Import it where a proxy is used: it needs gRPC, which the base install has not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from optuna.exceptions import StorageInternalError
from optuna.storages import GrpcStorageProxy
from optuna.storages._grpc.auto_generated.api_pb2_grpc import StorageServiceStub
from optuna.storages._grpc.client import GrpcClientCache

SERVICE, BEAT = "seqtune.Studies", "Beat"
"""What our proxy serves beside Optuna's: a heartbeat, the number of a trial; empty: a greeting."""

CALL_SECONDS = 60.0
"""A proxy that has not answered by then is away."""
CHANNEL = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # which is also how long connecting may take
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # by default a restart is noticed after 2 minutes
)
DATABASE_AWAY, DATABASE_REFUSES = grpc.StatusCode.ABORTED, grpc.StatusCode.INTERNAL
"""What the proxy answers where its database fails; the details say how."""
ANSWERS = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
)
"""What Optuna's client makes exceptions of its own of."""
AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

ADVICE = (
    "Is it running (python -m seqtune.tuning.studies.proxy), and is tuning.storage.proxy its "
    "address as workers see it?"
)


class ProxiedStorage(GrpcStorageProxy):
    """Optuna's client with an end to every call, and a heart that beats."""

    def _setup(self) -> None:
        channel = grpc.insecure_channel(f"{self._host}:{self._port}", options=CHANNEL)
        self._channel = grpc.intercept_channel(channel, _Deadline())
        self._stub = StorageServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._cache = GrpcClientCache(self._stub)
        self._beat = self._channel.unary_unary(f"/{SERVICE}/{BEAT}")

    def greet(self) -> None:
        """Raise unless a proxy of ours answers."""
        self._beat(b"")

    def record_heartbeat(self, trial_id: int) -> None:
        try:
            self._beat(str(trial_id).encode())
        except grpc.RpcError as error:
            raise StorageInternalError("the proxy took no heartbeat") from error


class _Deadline(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Optuna waits for ever: a machine that vanished would hold its workers."""

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        return continuation(details._replace(timeout=CALL_SECONDS), request)


def open_proxied(address: str) -> ProxiedStorage:
    """The proxy at host:port, once it has answered."""
    host, _, port = address.rpartition(":")
    storage = ProxiedStorage(host=host, port=int(port))
    try:
        storage.greet()
    except BaseException:
        storage.close()
        raise
    return storage


class ProxyFault(NamedTuple):
    text: str
    passes: bool
    """Whether the same call may succeed later."""


def proxy_fault(error: BaseException) -> ProxyFault | None:
    """What went wrong between worker and proxy; None for an error of another kind."""
    if not isinstance(error, grpc.RpcError):
        return None
    code, details = error.code(), str(error.details()).partition("\n")[0]
    if code in ANSWERS:
        return None
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return ProxyFault(f"is none of ours ({details}). {ADVICE}", False)
    if code in (DATABASE_AWAY, DATABASE_REFUSES):
        return ProxyFault(f"says: {details}", code is DATABASE_AWAY)
    return ProxyFault(f"does not answer: {details}. {ADVICE}", code in AWAY)
