"""The address of the studies, shown without its password."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from seqtune.core.errors import ConfigurationError

DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
SERVERS = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MySQL"}
CREDENTIALS = "conf/local/credentials.yml"
PROXY_SCHEME = "grpc://"


@dataclass(frozen=True)
class StorageUrl:
    """The address of the studies; picklable, so that each worker opens its own connection."""

    url: str = field(repr=False)
    heartbeat_seconds: int = 15
    grace_seconds: int = 60
    proxy: str = ""
    """host:port of a proxy for workers; empty: they connect to the database."""

    def for_workers(self) -> StorageUrl:
        """Return the address for workers; with a proxy it has no password."""
        if not self.proxy:
            return self
        return replace(self, url=f"{PROXY_SCHEME}{self.proxy}", proxy="")

    @property
    def is_proxied(self) -> bool:
        return self.url.startswith(PROXY_SCHEME)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a server."""
        if self.is_proxied:
            return None
        url = self.parsed()
        return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None

    @property
    def place(self) -> str:
        """The address for messages, without user and password."""
        if self.is_proxied:
            return f"the proxy of the studies at {self.url.removeprefix(PROXY_SCHEME)}"
        url = self.parsed()
        if url.get_backend_name() == "sqlite":
            return str(url.database)
        server = SERVERS[url.get_backend_name()]
        port = f":{url.port}" if url.port else ""
        return f"the {server} server at {url.host}{port}, database {url.database}"

    def parsed(self) -> URL:
        """Return the URL with a driver; the error for a wrong one does not repeat it."""
        try:
            url = make_url(self.url)
        except (ArgumentError, ValueError):
            raise ConfigurationError(f"the URL of the study is invalid. {_URLS}") from None
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        backend = url.drivername.partition("+")[0]
        if backend != "sqlite" and backend not in SERVERS:
            raise ConfigurationError(f"studies cannot be kept in {backend!r}. {_URLS}")
        if backend == "sqlite" and url.database in (None, "", ":memory:"):
            raise ConfigurationError(f"workers cannot reach a study in memory. {_URLS}")
        if "@" in (url.host or ""):
            raise ConfigurationError(
                "user or password in the URL of the study hold a character such as @ or / that "
                "must be percent-encoded (@ is %40, / is %2F)"
            )
        return url


_URLS = (
    "Give sqlite:///<path>, postgresql://<user>:<password>@<host>/<database> or "
    f"mysql://<user>:<password>@<host>/<database> in {CREDENTIALS}"
)


def backups_of(file: Path) -> list[Path]:
    """Return the backups of a study file, oldest first."""
    return sorted((file.parent / "backups").glob(f"{file.stem}-*{file.suffix}"))
