"""Files beyond this machine, by address: s3://, gs://, abfs:// and other clouds that Kedro knows.

fsspec and the backend of a protocol are imported when an address is looked at. Every backend fails
in words of its own; here they become one clear message, with no credential in it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from kedro.io.core import get_protocol_and_path
from kedro.utils import CLOUD_PROTOCOLS, PROTOCOL_DELIMITER

from seqtune.contracts.errors import ConfigurationError, SeqtuneError, StorageError
from seqtune.contracts.secrets import HIDDEN, is_secret, mask

from .progress import Progress

T = TypeVar("T")

ANSWER_SECONDS = 25.0
"""How long a first answer may take, whatever the backend and its own retries."""

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    # s3fs tries a request 5 times and botocore each of these 5 times. Pieces of a large file are
    # held in memory: 4 of 16 MiB when it is fetched, 4 of 50 MiB when it is sent.
    protocol: {
        "config_kwargs": {"connect_timeout": 4, "retries": {"max_attempts": 1}},
        "max_concurrency": 4,
        "default_block_size": 1 << 24,
    }
    for protocol in ("s3", "s3a")
}
_OF_THIS_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
_PARQUET = (".parquet", ".pq")


class Entry(NamedTuple):
    """One object."""

    path: str
    """Bucket and key."""
    num_bytes: int
    tag: str
    """Another one as soon as the content is another."""


SCRATCH = "set `scratch` in conf/local/globals.yml to a folder of this machine"
"""What to do where something has to be here and `data` is not."""


def is_remote(address: str) -> bool:
    return PROTOCOL_DELIMITER in address


def is_object_storage(address: str) -> bool:
    return address.partition(PROTOCOL_DELIMITER)[0] in CLOUD_PROTOCOLS


def require_local(address: str, *, what: str, instead: str) -> Path:
    """A path of this machine; object storage is refused, with what to do instead."""
    if is_remote(address):
        raise ConfigurationError(
            f"{mask(address)}: {what} has to be on a file system, not in object storage; {instead}"
        )
    return Path(address)


def is_part(path: PurePosixPath) -> bool:
    """Whether a path below a folder is a part of a partitioned table.

    Writers leave files and folders beside the parts whose names begin with _ or a dot.
    """
    return path.suffix.lower() in _PARQUET and not any(
        part.startswith(("_", ".")) for part in path.parts
    )


@dataclass(frozen=True)
class ObjectStorage:
    """What can be done at addresses of one protocol, with one set of credentials."""

    protocol: str
    options: Mapping[str, Any] = field(repr=False)

    @classmethod
    def at(
        cls,
        address: str,
        *,
        credentials: Mapping[str, Any] | None = None,
        fs_args: Mapping[str, Any] | None = None,
    ) -> tuple[ObjectStorage, str]:
        """The storage of an address, and the path (bucket and key) of it there."""
        protocol, path = get_protocol_and_path(address)
        if not is_object_storage(address):
            raise ConfigurationError(
                f"{mask(address)}: {protocol}:// is no object storage; allowed are paths of this "
                f"machine and {', '.join(f'{name}://' for name in CLOUD_PROTOCOLS)}. Copy the file "
                "to one of these"
            )
        options = {**_DEFAULTS.get(protocol, {}), **(fs_args or {}), **(credentials or {})}
        return cls(protocol, options), path.rstrip("/")

    def address(self, path: str) -> str:
        return f"{self.protocol}{PROTOCOL_DELIMITER}{path}"

    def find(self, pattern: str) -> list[Entry]:
        """The object of that very name, the Parquet files of the folder, or what matches."""
        self._look_anew(pattern)
        found = self._look(pattern)
        if found:
            return self._parts([found])
        if not has_magic(pattern):
            return []
        with self._explained(pattern):
            matching = self.filesystem().glob(pattern, detail=True)
        return self._parts(sorted(matching.values(), key=_name))

    def exists(self, path: str) -> bool:
        return self._look(path) is not None

    def names(self, pattern: str) -> list[str]:
        """Paths that match a pattern, sorted."""
        self._look_anew(pattern)
        self._look(pattern)  # whose answer comes in time, or not at all
        with self._explained(pattern):
            return sorted(self.filesystem().glob(pattern))

    def read(self, path: str) -> bytes:
        with self._explained(path):
            content: bytes = self.filesystem().cat_file(path)
        return content

    def write(self, path: str, content: bytes) -> None:
        with self._explained(path):
            self.filesystem().pipe_file(path, content)

    def remove(self, path: str) -> None:
        with self._explained(path):
            self.filesystem().rm_file(path)

    def fetch(self, path: str, to: Path, progress: Progress, *, num_bytes: int) -> None:
        """Write an object to a file, and see that it is all there."""
        to.parent.mkdir(parents=True, exist_ok=True)
        with self._explained(path):
            self.filesystem().get_file(path, str(to), callback=progress.callback())
        if (arrived := to.stat().st_size) != num_bytes:
            raise StorageError(
                f"{self.address(path)}: {arrived} bytes arrived where {num_bytes} were expected; "
                "it changed while it was fetched, or was cut off. Run again"
            )

    def send(self, file: Path, path: str, progress: Progress) -> None:
        with self._explained(path):
            self.filesystem().put_file(str(file), path, callback=progress.callback())

    def filesystem(self) -> Any:
        """That of fsspec, whose errors are those of its backend."""
        import fsspec

        return fsspec.filesystem(self.protocol, **self.options)

    def _look_anew(self, path: str) -> None:
        """Forget what was listed before: others write there too."""
        with self._explained(path):
            _in_time(lambda: self.filesystem().invalidate_cache())

    def _look(self, path: str) -> Mapping[str, Any] | None:
        """What is at a path; None where nothing is."""
        with self._explained(path):
            try:
                found: Mapping[str, Any] = _in_time(lambda: self.filesystem().info(path))
            except FileNotFoundError:
                self._require_bucket(path)
                return None
        return found

    def _require_bucket(self, path: str) -> None:
        bucket = path.partition("/")[0]
        if not _in_time(lambda: self.filesystem().exists(bucket)):
            raise StorageError(
                f"{self.address(path)}: there is no bucket {bucket!r}, or it may not be looked at "
                f"with these credentials. {_NEXT_STEP}"
            )

    def _parts(self, found: Sequence[Mapping[str, Any]]) -> list[Entry]:
        """The objects found; where there are folders alone, the Parquet files below these."""
        files = [info for info in found if info["type"] == "file"]
        if not files:
            files = [info for folder in found for info in self._below(_name(folder))]
        return [Entry(_name(info), int(info["size"]), _tag(info)) for info in files]

    def _below(self, folder: str) -> list[Mapping[str, Any]]:
        with self._explained(folder):
            found = self.filesystem().find(folder, detail=True).values()
        parts = [info for info in found if is_part(PurePosixPath(_name(info)).relative_to(folder))]
        return sorted(parts, key=_name)

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        """Errors of any backend in our words, but for a missing object and a full disk here."""
        try:
            yield
        except (SeqtuneError, FileNotFoundError):
            raise
        except ImportError as error:
            raise ConfigurationError(
                f"{self.address(path)}: a package for {self.protocol}:// is missing ({error}); "
                "`pip install 'seqtune[cluster]'` brings the one for s3://, gcsfs is for gs://, "
                "adlfs for abfs://"
            ) from error
        except TypeError as error:
            raise ConfigurationError(
                f"{self.address(path)}: what stands in `credentials` and `fs_args` of the catalog "
                f"entry is not what the backend of {self.protocol}:// takes ({error}); see its "
                "documentation, or leave it out"
            ) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _OF_THIS_DISK:
                raise
            raise StorageError(
                f"{self.address(path)} cannot be read or written: {self._reason(error)}. "
                f"{_NEXT_STEP}"
            ) from error

    def _reason(self, error: Exception) -> str:
        said = mask(str(error))
        for secret in _secrets(self.options):
            said = said.replace(secret, HIDDEN)
        if isinstance(error, TimeoutError):
            return f"no answer within {ANSWER_SECONDS:.0f} seconds"
        if isinstance(error, PermissionError):
            return f"access is refused ({said})"
        return f"{type(error).__name__}: {said}"


_NEXT_STEP = (
    "Check the name of the bucket, the endpoint, the network, and the credentials: those of the "
    "catalog entry (`credentials`, from conf/local/credentials.yml), or where there are none, "
    "those that the environment gives"
)


def _name(info: Mapping[str, Any]) -> str:
    return str(info["name"]).rstrip("/")


def _tag(info: Mapping[str, Any]) -> str:
    """Backends call it by different names; the size stands beside it in any case."""
    names = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime")
    return next((str(info[name]) for name in names if info.get(name)), "")


def _in_time(ask: Callable[[], T]) -> T:
    """The answer, or a TimeoutError; whoever asked is left behind, in a thread of its own."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001  # raised again by whoever waits
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer.result(timeout=ANSWER_SECONDS)


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    """Values among the options that nobody should read."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and (is_secret(name) or name.endswith(("_key", "_string"))):
            yield value
