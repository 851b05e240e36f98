"""A proxy before the database of the studies, for workers that should not or cannot reach it.

    SEQTUNE_STUDY_URL=postgresql://... python -m seqtune.tuning.studies.proxy --bind 127.0.0.1:13000

Optuna's service, a heartbeat beside it, and faults of the database told apart: one that may pass
is waited for by the workers. There is no authentication: who reaches the address may change every
study.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

import grpc
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._grpc.auto_generated.api_pb2_grpc import (
    add_StorageServiceServicer_to_server as add_servicer,
)
from optuna.storages._grpc.servicer import OptunaStorageProxyService
from sqlalchemy.exc import SQLAlchemyError

from seqtune.contracts.errors import ConfigurationError, SeqtuneError

from .faults import explanation, is_away
from .proxied import BEAT, DATABASE_AWAY, DATABASE_REFUSES, SERVICE
from .ref import StorageRef
from .storage import open_storage

logger = logging.getLogger(__name__)

URL = "SEQTUNE_STUDY_URL"
NUM_THREADS = 8
STOP_SECONDS = 5.0


def serve(ref: StorageRef, bind: str, *, num_threads: int = NUM_THREADS) -> grpc.Server:
    """A proxy that has begun to answer."""
    storage = _Cache(open_storage(ref, num_threads=num_threads))
    server = grpc.server(ThreadPoolExecutor(num_threads), interceptors=(_Telling(ref),))
    add_servicer(OptunaStorageProxyService(storage), server)  # type: ignore[no-untyped-call]
    beat = grpc.unary_unary_rpc_method_handler(_beating(storage))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {BEAT: beat}),))
    try:
        server.add_insecure_port(bind)
    except RuntimeError as error:
        raise ConfigurationError(
            f"nothing can listen at {bind}: the port is taken, or the address is none of this "
            "machine. Choose another one (--bind)"
        ) from error
    server.start()
    return server


class _Cache(_CachedStorage):
    """Optuna's cache, which refuses parameters of a trial that it did not see begin.

    After a restart of the proxy those are the trials under way.
    """

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        try:
            super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        except KeyError:
            self._backend.set_trial_param(trial_id, param_name, param_value_internal, distribution)


def _beating(storage: _Cache) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def beat(trial: bytes, _context: grpc.ServicerContext) -> bytes:
        if trial:
            storage.record_heartbeat(int(trial))
        return b""

    return beat


class _Telling(grpc.ServerInterceptor):  # type: ignore[misc]
    """Says what is wrong with the database; gRPC would say "unknown"."""

    def __init__(self, ref: StorageRef) -> None:
        self._ref = ref

    def intercept_service(self, continuation: Callable[..., Any], details: Any) -> Any:
        handler = continuation(details)
        if handler is None:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._telling(handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _telling(self, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return behaviour(request, context)
            except (SQLAlchemyError, StorageInternalError) as error:
                code = DATABASE_AWAY if is_away(error, self._ref) else DATABASE_REFUSES
                context.abort(code, str(explanation(error, self._ref) or type(error).__name__))

        return answer


# ---- the command --------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    options = _parse(arguments)
    try:
        ref = StorageRef(_url())
        server = serve(ref, options.bind, num_threads=options.connections)
    except SeqtuneError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if not _is_loopback(options.bind):
        logger.warning(
            "%s can be reached from other machines, and there is no authentication: whoever "
            "reaches it may change every study. Keep it inside a network of your own",
            options.bind,
        )
    logger.info("a proxy before %s listens at %s", ref.place, options.bind)
    _until_stopped(server)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m seqtune.tuning.studies.proxy",
        description=f"A proxy before the database of the studies, which {URL} names.",
    )
    parser.add_argument("--bind", default="127.0.0.1:13000", help="host:port (%(default)s)")
    parser.add_argument(
        "--connections",
        type=int,
        default=NUM_THREADS,
        help="to the database, and calls that are answered at the same time (%(default)s)",
    )
    return parser.parse_args(arguments)


def _url() -> str:
    url = os.environ.get(URL, "")
    if not url:
        raise ConfigurationError(
            f"no database is named: set {URL} to its URL; on a command line its password would "
            "be seen by everybody"
        )
    return url


def _is_loopback(bind: str) -> bool:
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _until_stopped(server: grpc.Server) -> None:
    """Until somebody asks to end; calls under way are answered."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    server.stop(STOP_SECONDS).wait()


if __name__ == "__main__":
    sys.exit(main())
