# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL of one's own, from Debian's package: in a temporary folder, on a free loopback port."""

import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

_USER = "postgres"
_START_S = 60.0
_TRIES = 3
# A test's data need not survive the machine, and the server shares it with a control loop's tests.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "max_worker_processes": "0",
    "autovacuum": "off",
}


def postgres_folder() -> Path | None:
    """Where initdb and postgres are; None when they are not installed."""
    versioned = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))],
    )
    on_path = shutil.which("initdb")
    found = versioned[-1] if versioned else Path(on_path).resolve() if on_path else None
    return found.parent if found else None


@dataclass
class PostgresServer:
    """A running server; its databases are the caller's to name."""

    port: int
    password: str
    _number: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        """As ARENA_DATABASE_URL has it."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template0") -> str:
        """A new database; its name."""
        name = f"test{next(self._number)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server that ends with the block, and with this process if that is killed."""
    programs = postgres_folder()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="arena_postgres_", dir=_home()))
    try:
        password = secrets.token_urlsafe(24)
        _make_cluster(programs, folder, password)
        for attempt in range(_TRIES):
            server = PostgresServer(_free_port(), password)
            process = _start(programs, folder, server.port)
            try:
                if _is_up(process, server):
                    yield server
                    return
            finally:
                process.send_signal(signal.SIGINT)
                process.wait()
            if attempt == _TRIES - 1:
                raise RuntimeError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _home() -> str | None:
    """Where the server's folder goes: root's temporary folder can be closed to the account that it runs as."""
    return pwd.getpwnam(_USER).pw_dir if os.geteuid() == 0 else None


def _make_cluster(programs: Path, folder: Path, password: str) -> None:
    secret = folder / "password"
    secret.write_text(password)
    secret.chmod(0o600)
    if os.geteuid() == 0:
        account = pwd.getpwnam(_USER)
        for path in (folder, secret):
            os.chown(path, account.pw_uid, account.pw_gid)
    command = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", _USER, "-E", "UTF8", "--locale=C"]
    command += ["--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--no-instructions"]
    made = subprocess.run(_as_user(command), cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")


def _start(programs: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder)]
    for name, value in _OPTIONS.items():
        command += ["-c", f"{name}={value}"]
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(
            _as_user(command), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _as_user(command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root. SIGINT is its word for an end that waits for nobody."""
    become = ["--reuid", _USER, "--regid", _USER, "--init-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *become, "--pdeathsig", "INT", *command]


def _is_up(process: subprocess.Popen[bytes], server: PostgresServer) -> bool:
    import psycopg

    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            time.sleep(0.05)  # it says nowhere when it is ready
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
