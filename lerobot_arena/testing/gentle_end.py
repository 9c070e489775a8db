# SPDX-License-Identifier: Apache-2.0
"""The end of a process that talks over DDS with this one."""

import signal
import subprocess

_PATIENCE_S = 20.0


def end_gently(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """SIGTERM and a while, also where it was suspended; SIGKILL only then.

    A peer that is killed while it writes into our shared-memory port leaves it broken. Fast DDS 2.14 then makes the
    port anew on its own thread, and a participant that ends meanwhile locks memory that is gone: the whole process
    ends (SharedMemChannelResource::release).
    """
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
