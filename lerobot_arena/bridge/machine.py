# SPDX-License-Identifier: Apache-2.0
"""Load of this machine for /debug/system; never blocks the event loop."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import psutil

_NVIDIA_QUERY = "--query-gpu=name,memory.used,memory.reserved"
_MIB = 1024 * 1024
_GPU_TIMEOUT_S = 3.0


def start_measuring() -> None:
    """CPU use is counted from here on; psutil's first answer would be 0."""
    psutil.cpu_percent(interval=None)


def _memory_and_disk(data_dir: Path) -> dict[str, Any]:
    memory = psutil.virtual_memory()
    folder = next(path for path in (data_dir, *data_dir.absolute().parents) if path.exists())
    disk = psutil.disk_usage(str(folder))
    return {
        "memory": {"total": memory.total, "available": memory.available, "percent": memory.percent},
        "disk": {"total": disk.total, "used": disk.used, "percent": disk.percent},
    }


def parse_nvidia_smi(text: str) -> dict[str, Any] | None:
    """The first GPU of `nvidia-smi --format=csv,noheader,nounits`, in bytes; None when there is none."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]
    if not rows or len(rows[0]) < 3:
        return None
    name, used, reserved = rows[0][:3]
    return {
        "device_count": len(rows),
        "current_device": 0,
        "device_name": name,
        "memory_allocated": int(used) * _MIB if used.isdigit() else 0,
        "memory_cached": int(reserved) * _MIB if reserved.isdigit() else 0,
    }


async def _gpu_info() -> dict[str, Any] | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    process = await asyncio.create_subprocess_exec(
        program,
        _NVIDIA_QUERY,
        "--format=csv,noheader,nounits",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _GPU_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return parse_nvidia_smi(output.decode(errors="replace"))


async def system_info(data_dir: Path) -> dict[str, Any]:
    """cpu_percent, memory, disk, and gpu where there is one."""
    # psutil remembers the last call per thread, so this one stays on the loop's; it reads one line of /proc.
    info = {
        "cpu_percent": psutil.cpu_percent(interval=None),
        **await asyncio.to_thread(_memory_and_disk, data_dir),
    }
    gpu = await _gpu_info()
    return info if gpu is None else {**info, "gpu": gpu}
