"""Database servers that a test session starts for itself, on loopback, in a folder of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from toy_processes import free_port

PASSWORD = "s3cret-{pass}%word"  # noqa: S105
QUOTED_PASSWORD = "s3cret-%7Bpass%7D%25word"  # noqa: S105
USER = "seqtune"
START_SECONDS = 40.0


class Server(Protocol):
    def missing(self) -> str:
        """Why it cannot be had here; empty if it can."""

    def create(self) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def remove(self) -> None: ...
    def new_database(self) -> str:
        """The URL of an empty database, password and all."""


class _Folder:
    """A folder that a server may own; servers refuse to run as root."""

    user = ""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="seqtune-server-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def as_user(self, *command: str) -> list[str]:
        if os.geteuid() != 0:
            return list(command)
        return [
            "setpriv",
            f"--reuid={self.user}",
            f"--regid={self.user}",
            "--init-groups",
            *command,
        ]

    def give_away(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user, self.user)

    def spawn(self, *command: str) -> None:
        log = (self.folder / "server.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                self.as_user(*command), stdout=log, stderr=log, cwd=self.folder
            )

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)  # at once, as if it had crashed
            try:
                self.process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_for_port(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise TimeoutError((self.folder / "server.log").read_text())


def _user_missing(*names: str) -> str:
    """The first of these users that exists; empty if there is none."""
    for name in names:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return ""


class PostgreSQL(_Folder):
    """One with a password, without fsync."""

    def __init__(self) -> None:
        super().__init__()
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent)
        on_path = shutil.which("initdb")
        self.programs = folders[-1] if folders else Path(on_path).parent if on_path else None
        self.user = _user_missing("postgres", "nobody")

    def missing(self) -> str:
        if self.programs is None:
            return "PostgreSQL is not installed (apt install postgresql)"
        try:
            import psycopg  # noqa: F401
        except ImportError:
            return "psycopg is not installed (pip install 'seqtune[cluster]')"
        if os.geteuid() == 0 and not (self.user and shutil.which("setpriv")):
            return "PostgreSQL refuses to run as root, and there is no setpriv to be somebody else"
        return ""

    def create(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.give_away()
        made = subprocess.run(
            self.as_user(
                *(f"{self.programs}/initdb", "-D", f"{self.folder}/data", "-U", USER),
                *("-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync", "-E", "UTF8"),
                "--locale=C",
            ),
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
        )
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        self.spawn(
            *(f"{self.programs}/postgres", "-D", f"{self.folder}/data", "-p", str(self.port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            *("-c", "fsync=off", "-c", "shared_buffers=16MB"),
        )
        deadline = time.monotonic() + START_SECONDS
        self.wait_for_port()
        while not self._answers():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _answers(self) -> bool:
        import psycopg

        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False  # it is starting up
        return True

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            connection.execute(statement.encode())

    def new_database(self) -> str:
        name = f"studies_{uuid4().hex[:8]}"
        self._execute(f"CREATE DATABASE {name}")
        return f"postgresql://{USER}:{QUOTED_PASSWORD}@127.0.0.1:{self.port}/{name}"


class MariaDB(_Folder):
    """One with a password, which keeps what it has committed when it is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.daemon = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
        self.install = shutil.which("mariadb-install-db")
        self.user = _user_missing("mysql", "nobody")

    def missing(self) -> str:
        if self.daemon is None or self.install is None:
            return "MariaDB is not installed (apt install mariadb-server)"
        try:
            import pymysql  # noqa: F401
        except ImportError:
            return "PyMySQL is not installed (pip install 'seqtune[cluster]')"
        if os.geteuid() == 0 and not (self.user and shutil.which("setpriv")):
            return "there is no setpriv to run MariaDB as somebody else than root"
        return ""

    def create(self) -> None:
        self.give_away()
        made = subprocess.run(
            self.as_user(
                *(str(self.install), "--no-defaults", f"--datadir={self.folder}/data"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
            ),
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.folder,
        )
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        secret = PASSWORD.replace("'", "''")
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{secret}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%';\nFLUSH PRIVILEGES;\n"
        )
        self.spawn(
            *(str(self.daemon), "--no-defaults", f"--datadir={self.folder}/data"),
            *(f"--port={self.port}", "--bind-address=127.0.0.1"),
            *(f"--socket={self.folder}/socket", f"--init-file={self.folder}/init.sql"),
            "--innodb-flush-log-at-trx-commit=2",
        )
        self.wait_for_port()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
        super().stop()

    def new_database(self) -> str:
        import pymysql

        name = f"studies_{uuid4().hex[:8]}"
        connection = pymysql.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD)
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql://{USER}:{QUOTED_PASSWORD}@127.0.0.1:{self.port}/{name}"
