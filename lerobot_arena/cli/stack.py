# SPDX-License-Identifier: Apache-2.0
"""All processes of an arm for the time of one command: locks, environment, log, supervisor, ordered end."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpx
from rich.console import Console

from lerobot_arena.bringup import (
    HOST_VARIABLE,
    PORT_VARIABLE,
    BringupOptions,
    ProcessSpec,
    data_folder,
    prepare_environment,
    process_table,
    url_from_here,
)
from lerobot_arena.cli.supervisor.child import Program
from lerobot_arena.cli.supervisor.lock import held, lock_paths
from lerobot_arena.cli.supervisor.log import CONSOLE_FORMAT, RunLog
from lerobot_arena.cli.supervisor.supervisor import Supervisor
from lerobot_arena.core.address import CERTIFICATE_VARIABLE
from lerobot_arena.core.errors import Conflict, NotAnswering, Unavailable

_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs, and how to talk about it. `ending` is set when somebody asked to end."""

    options: BringupOptions
    url: str
    log: RunLog
    supervisor: Supervisor
    ending: asyncio.Event

    async def wait_for_bridge(self, timeout_s: float = 180.0) -> None:
        """Return when the bridge answers or the end is asked for. Raises Unavailable or NotAnswering with the cause."""
        now = asyncio.get_running_loop().time
        patience_s, deadline = now() + _PATIENCE_S, now() + timeout_s
        # Whether it answers is all that is asked, so that a certificate of one's own will do.
        async with httpx.AsyncClient(base_url=self.url, timeout=2.0, trust_env=False, verify=False) as http:
            while not self.ending.is_set():
                if self.supervisor.crash_message.done():
                    raise Unavailable(self.supervisor.crash_message.result())
                with suppress(httpx.TransportError):
                    if (await http.get("/health")).is_success:
                        return
                if now() > deadline:
                    raise NotAnswering(
                        f"The bridge did not answer within {timeout_s:g} s; see {self.log.path}."
                    )
                if now() > patience_s:
                    self.log.say("still starting; the machine is busy.")
                    patience_s += _PATIENCE_S
                await asyncio.sleep(0.2)


def run(
    options: BringupOptions,
    work: Callable[[Stack], Awaitable[int]],
    *,
    console: Console | None,
    dds_profile: str,
) -> int:
    """Start everything, do `work`, end everything in order; `work`'s exit code.

    Raises Conflict when another run holds the data folder, the arm or the port; Unavailable when /dev/shm is too small.
    """
    environment = dict(os.environ)
    data_dir = data_folder(environment)
    owner = {"arm": options.arm, "port": options.port}
    with held(lock_paths(data_dir, options.arm, environment), owner=owner):
        _require_free(options.host or environment.get(HOST_VARIABLE, ""), options.port)
        table = process_table(options)
        profile = prepare_environment(environment, processes=len(table), kind=dds_profile)
        log = RunLog(data_dir / "logs", console=console, width=max(len(spec.name) for spec in table))
        log.say(
            f"starting {', '.join(spec.name for spec in table)}; data in {data_dir}; DDS profile {profile.kind}"
        )
        try:
            programs = [_program(spec, options, environment) for spec in table]
            return asyncio.run(_supervise(options, programs, log, work))
        finally:
            log.close()


def _program(spec: ProcessSpec, options: BringupOptions, environment: Mapping[str, str]) -> Program:
    # Severity is read back from the lines; what the user set for his own terminals does not apply to a pipe.
    log_environment = {
        "RCUTILS_CONSOLE_OUTPUT_FORMAT": CONSOLE_FORMAT,
        "RCUTILS_COLORIZED_OUTPUT": "0",
        PORT_VARIABLE: str(options.port),
    }
    # rcl's own log files are never rotated, and ours has every line.
    command = [*spec.command(options), "--disable-external-lib-logs"]
    variables = {**environment, **log_environment}
    return Program(spec.name, command, variables, spec.rank, spec.no_restart_because)


async def _supervise(
    options: BringupOptions, programs: list[Program], log: RunLog, work: Callable[[Stack], Awaitable[int]]
) -> int:
    ending = asyncio.Event()
    supervisor = Supervisor(programs, log)
    _listen_for_signals(ending, supervisor, log)
    supervisor.start()
    host = options.host or os.environ.get(HOST_VARIABLE, "")
    url = url_from_here(host, options.port, has_tls=bool(os.environ.get(CERTIFICATE_VARIABLE)))
    stack = Stack(options, url, log, supervisor, ending)
    try:
        return await work(stack)
    finally:
        ending.set()
        await supervisor.stop()


def _listen_for_signals(ending: asyncio.Event, supervisor: Supervisor, log: RunLog) -> None:
    def asked_to_end() -> None:
        if ending.is_set():
            supervisor.hurry()
        else:
            log.say("ending: bridge, inference, guard, then the arm's driver.")
        ending.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end)


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host or "127.0.0.1", port))
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise Conflict(f"{host} is no address of this machine: see `ip address`.") from error
            raise Conflict(
                f"Port {port} is taken ({error.strerror}). Choose another with --port, or see who has it: "
                f"`ss -ltnp 'sport = :{port}'`."
            ) from error
