"""Files in object storage, by address: s3://, gs://, abfs:// and other clouds that Kedro knows.

The backend of a protocol is imported when an address is first used. The errors of all backends
become one clear message without credentials.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from glob import escape, has_magic
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import Any, NamedTuple, Self, TypeVar

from fsspec import Callback
from kedro.utils import CLOUD_PROTOCOLS, PROTOCOL_DELIMITER
from typing_extensions import override
from upath.extensions import ProxyUPath

from seqtune.core.errors import ConfigurationError, SeqtuneError, StorageError
from seqtune.core.secrets import HIDDEN, is_secret, mask

T = TypeVar("T")

ANSWER_SECONDS = 25.0
"""Limit for a first answer, including the retries of a backend."""
SCRATCH = "set `scratch` in conf/local/globals.yml to a folder of this machine"
"""The next step if a folder must be local and `data` is not."""

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    # by default, s3fs tries a request 5 times and botocore each of these 5 times. A transfer holds
    # pieces of a file in memory: 4 of 16 MiB to fetch it, 4 of 50 MiB to send it.
    protocol: {
        "config_kwargs": {"connect_timeout": 4, "retries": {"max_attempts": 1}},
        "max_concurrency": 4,
        "default_block_size": 1 << 24,
    }
    for protocol in ("s3", "s3a")
}
_OF_THIS_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
_PARQUET = (".parquet", ".pq")
_TAGS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime")
"""The names of backends for a tag that changes with the content."""
_NEXT_STEP = (
    "Check the name of the bucket, the endpoint, the network, and the credentials: those of the "
    "catalog entry (`credentials`, from conf/local/credentials.yml), or without any, those of "
    "the environment"
)


def is_remote(address: str) -> bool:
    return PROTOCOL_DELIMITER in address


def is_object_storage(address: str) -> bool:
    return address.partition(PROTOCOL_DELIMITER)[0] in CLOUD_PROTOCOLS


def require_local(address: str, *, what: str, instead: str) -> Path:
    """Return a path of this machine; refuse object storage and say what to do `instead`."""
    if is_remote(address):
        raise ConfigurationError(
            f"{mask(address)}: {what} must be on a file system, not in object storage; {instead}"
        )
    return Path(address)


def is_part(path: PurePosixPath) -> bool:
    """Return whether a path below a folder is a part of a partitioned table.

    Writers leave other files and folders there, with names that begin with _ or a dot.
    """
    return path.suffix.lower() in _PARQUET and not any(
        part.startswith(("_", ".")) for part in path.parts
    )


class RemoteFile(NamedTuple):
    """One object."""

    path: RemotePath
    num_bytes: int
    tag: str
    """Changes with the content."""


class RemotePath(ProxyUPath):
    """A path in object storage, looked up anew each time, with clear errors."""

    @classmethod
    def at(
        cls,
        address: str,
        *,
        credentials: Mapping[str, Any] | None = None,
        fs_args: Mapping[str, Any] | None = None,
    ) -> Self:
        protocol = address.partition(PROTOCOL_DELIMITER)[0]
        if not is_object_storage(address):
            raise ConfigurationError(
                f"{mask(address)}: {protocol}:// is not object storage; allowed are paths of this "
                f"machine and {', '.join(f'{name}://' for name in CLOUD_PROTOCOLS)}. Copy the file "
                "to one of these"
            )
        options = {**_DEFAULTS.get(protocol, {}), **(fs_args or {}), **(credentials or {})}
        return cls(address.rstrip("/"), **options)

    def beside(self, path: str) -> Self:
        """Return another path (bucket and key) in the same storage."""
        return type(self)(f"{self.protocol}{PROTOCOL_DELIMITER}{path}", **self.storage_options)

    def look(self) -> Mapping[str, Any] | None:
        """Return the current description of the object; None if there is none."""
        with self.explained():
            return _in_time(self._look)

    def _look(self) -> Mapping[str, Any] | None:
        self.fs.invalidate_cache()
        try:
            found: Mapping[str, Any] = self.fs.info(self.path)
        except FileNotFoundError:
            bucket = self.path.partition("/")[0]
            if self.fs.exists(bucket):
                return None
            raise StorageError(
                f"{self}: there is no bucket {bucket!r}, or these credentials do not give access "
                f"to it. {_NEXT_STEP}"
            ) from None
        return found

    def matching(self) -> list[Mapping[str, Any]]:
        """Return the current matches of this path as a pattern, by name."""
        self.look()  # fails in time if nothing answers
        with self.explained():
            return sorted(self.fs.glob(self.path, detail=True).values(), key=_name)

    @override
    def exists(self, **_: Any) -> bool:
        return self.look() is not None

    @override
    def glob(self, pattern: str, **_: Any) -> Iterator[Self]:
        """Yield the current matches below this path, sorted."""
        for info in self.beside(f"{escape(self.path)}/{pattern}").matching():
            yield self.beside(_name(info))

    def find(self) -> list[RemoteFile]:
        """Return the object of this name, or the matches; for folders, their Parquet files."""
        found = self.look()
        infos = [found] if found else self.matching() if has_magic(self.path) else []
        files = [info for info in infos if info["type"] == "file"]
        files = files or [part for folder in infos for part in self._parts(_name(folder))]
        return [RemoteFile(self.beside(_name(i)), int(i["size"]), _tag(i)) for i in files]

    def _parts(self, folder: str) -> list[Mapping[str, Any]]:
        with self.explained():
            found = self.fs.find(folder, detail=True).values()
        parts = [info for info in found if is_part(PurePosixPath(_name(info)).relative_to(folder))]
        return sorted(parts, key=_name)

    @override
    def read_bytes(self) -> bytes:
        with self.explained():
            return bytes(self.fs.cat_file(self.path))

    @override
    def read_text(self, encoding: str | None = None, *_: Any, **__: Any) -> str:
        return self.read_bytes().decode(encoding or "utf-8")

    @override
    def write_text(self, data: str, encoding: str | None = None, *_: Any, **__: Any) -> int:
        """Write at once: other processes read either the old or the new content."""
        with self.explained():
            self.fs.pipe_file(self.path, data.encode(encoding or "utf-8"))
        return len(data)

    def fetch(self, to: Path, progress: Callback, *, num_bytes: int) -> None:
        """Write the object to a file, and check its size."""
        to.parent.mkdir(parents=True, exist_ok=True)
        with self.explained():
            self.fs.get_file(self.path, str(to), callback=progress)
        if (arrived := to.stat().st_size) != num_bytes:
            raise StorageError(
                f"{self}: {arrived} bytes arrived where {num_bytes} were expected; it changed "
                "while it was fetched, or was cut off. Run again"
            )

    def send(self, file: Path, progress: Callback) -> None:
        with self.explained():
            self.fs.put_file(str(file), self.path, callback=progress)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Explain the errors of all backends, except a missing object and a full local disk."""
        try:
            yield
        except (SeqtuneError, FileNotFoundError):
            raise
        except ImportError as error:
            raise ConfigurationError(
                f"{self}: a package for {self.protocol}:// is missing ({error}); "
                "`pip install 'seqtune[cluster]'` brings the one for s3://, gcsfs is for gs://, "
                "adlfs for abfs://"
            ) from error
        except TypeError as error:
            raise ConfigurationError(
                f"{self}: the backend of {self.protocol}:// does not accept `credentials` or "
                f"`fs_args` of the catalog entry ({error}); see its documentation, or leave them "
                "out"
            ) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _OF_THIS_DISK:
                raise
            raise StorageError(
                f"{self} cannot be read or written: {self._reason(error)}. {_NEXT_STEP}"
            ) from error

    def _reason(self, error: Exception) -> str:
        message = mask(str(error))
        for secret in _secrets(self.storage_options):
            message = message.replace(secret, HIDDEN)
        if isinstance(error, TimeoutError):
            return f"no answer within {ANSWER_SECONDS:.0f} seconds"
        if isinstance(error, PermissionError):
            return f"access is refused ({message})"
        return f"{type(error).__name__}: {message}"


def _name(info: Mapping[str, Any]) -> str:
    return str(info["name"]).rstrip("/")


def _tag(info: Mapping[str, Any]) -> str:
    return next((str(info[name]) for name in _TAGS if info.get(name)), "")


def _in_time(ask: Callable[[], T]) -> T:
    """Return the answer, or raise TimeoutError; a call that never ends stays in its thread."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001  # raised by `answer.result`
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer.result(timeout=ANSWER_SECONDS)


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the secret values among the options."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and (is_secret(name) or name.endswith(("_key", "_string"))):
            yield value
