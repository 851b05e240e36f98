"""Serve a proxy in front of the study database, for workers that must not or cannot reach it.

    SEQTUNE_STUDY_URL=postgresql://... python -m seqtune.tuning.studies.proxy --bind 127.0.0.1:13000

It is Optuna's `run_grpc_proxy_server` on a connection opened by seqtune. There is no
authentication: anyone who reaches the address can change every study.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from optuna.storages import BaseStorage, RDBStorage, get_storage, run_grpc_proxy_server
from optuna.trial import TrialState

from seqtune.core.errors import ConfigurationError, SeqtuneError

from .storage import open_storage, quiet_optuna
from .storage_url import StorageUrl

logger = logging.getLogger(__name__)

URL = "SEQTUNE_STUDY_URL"
NUM_THREADS = 8


def serve(ref: StorageUrl, bind: str, *, num_threads: int = NUM_THREADS) -> None:
    """Serve at host:port until an exception, such as KeyboardInterrupt, ends it."""
    storage = _cached(open_storage(ref, num_threads=num_threads))
    host, _, port = bind.rpartition(":")
    logger.info("a proxy in front of %s listens at %s", ref.place, bind)
    pool = ThreadPoolExecutor(num_threads)
    try:
        with quiet_optuna():
            run_grpc_proxy_server(storage, host=host, port=int(port), thread_pool=pool)
    except RuntimeError as error:
        raise ConfigurationError(
            f"cannot listen at {bind}: the port is taken, or this machine does not have the "
            "address. Choose another one (--bind)"
        ) from error


def _cached(storage: RDBStorage) -> BaseStorage:
    """Wrap the storage in Optuna's cache, with the running trials loaded.

    The cache refuses parameters of a trial it has never seen, as after a restart of the proxy.
    """
    cached = get_storage(storage)
    for study in storage.get_all_studies():
        study_id = storage.get_study_id_from_name(study.study_name)
        if storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,)):
            cached.get_all_trials(study_id, deepcopy=False)
    return cached


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(
        prog="python -m seqtune.tuning.studies.proxy",
        description=f"A proxy in front of the study database, whose URL is in {URL}.",
    )
    parser.add_argument("--bind", default="127.0.0.1:13000", help="host:port (%(default)s)")
    text = "connections to the database, and calls answered at the same time (%(default)s)"
    parser.add_argument("--connections", type=int, default=NUM_THREADS, help=text)
    options = parser.parse_args(arguments)
    if not _is_loopback(options.bind):
        logger.warning(
            "%s can be reached from other machines, and there is no authentication: anyone who "
            "reaches it can change every study. Keep it inside a private network",
            options.bind,
        )
    try:
        serve(StorageUrl(_url()), options.bind, num_threads=options.connections)
    except SeqtuneError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0


def _url() -> str:
    url = os.environ.get(URL, "")
    if not url:
        raise ConfigurationError(
            f"no database is given: set {URL} to its URL; on a command line every user of this "
            "machine would see the password"
        )
    return url


def _is_loopback(bind: str) -> bool:
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main())
