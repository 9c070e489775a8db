# SPDX-License-Identifier: Apache-2.0
"""A bridge in a process of its own, on a port that it chose itself; what it logs is a file."""

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

_LISTENING = re.compile(r"Listening on http://127\.0\.0\.1:(\d+)")
_WAIT_S = 60.0


class BridgeProcess:
    """Started and answering; `end` it."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """`command` must say port 0. Raises AssertionError with the log when no bridge comes of it."""
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            self.port = self._wait()
        except BaseException:
            self._kill()
            raise

    @property
    def host(self) -> str:
        """Address and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """All that it logged."""
        return self._log.read_text(errors="replace")

    def _wait(self) -> int:
        deadline = time.monotonic() + _WAIT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if (found := _LISTENING.search(self.said)) is not None:
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"http://127.0.0.1:{found[1]}/health").status_code == 200:
                        return int(found[1])
            time.sleep(0.1)  # how often it looks; the bridge is another process
        raise AssertionError(f"No bridge came: {self.said[-3000:]}")

    def end(self) -> None:
        """As a person would. Raises AssertionError when that, or anything before it, went wrong inside."""
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(20) == 0, self.said[-3000:]
        finally:
            self._kill()
        assert "Traceback" not in self.said, self.said[-3000:]

    def _kill(self) -> None:
        self.process.kill()
        self.process.wait()
