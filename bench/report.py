# SPDX-License-Identifier: Apache-2.0
"""What every bench prints: one table and the machine it was measured on; `--json` for programs."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

PACKAGES = ("ros-rclpy", "onnxruntime", "torch", "lerobot", "mujoco")


def machine() -> str:
    """CPU, cores, load, Python and the versions that matter."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    packages = []
    for name in PACKAGES:
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    return f"{model}, {cores}, Python {platform.python_version()}, {', '.join(packages)}"


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max of durations in seconds, as ms."""
    values = np.asarray(seconds) * 1000
    p50, p95, p99 = (float(v) for v in np.percentile(values, [50, 95, 99]))
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "max_ms": float(values.max())}


def show(title: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str] = ()) -> None:
    """Print the rows as a table, or as JSON when `--json` is among the arguments."""
    if "--json" in sys.argv:
        print(json.dumps({"title": title, "machine": machine(), "rows": list(rows), "notes": list(notes)}))
        return
    table = Table(title=title, caption=machine(), caption_justify="left")
    for key in rows[0]:
        table.add_column(key.replace("_", " "), justify="left" if isinstance(rows[0][key], str) else "right")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    console = Console(width=max(120, Console().width))
    console.print(table)
    for note in notes:
        console.print(f"  {note}")
