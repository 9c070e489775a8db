# SPDX-License-Identifier: Apache-2.0
"""robot-dam's share of bench/guard.py: `DAM_PYTHON bench/rival_dam.py CYCLES`, in an environment of its own.

    python -m venv /tmp/dam && /tmp/dam/bin/pip install robot-dam==0.7.0 proxsuite
    python bench/guard.py --dam /tmp/dam/bin/python

Imports nothing of ours. Position, velocity and acceleration limits and the staleness watchdog; a speed that is declared
truthfully, without which its velocity limit lets any step pass.
"""

import json
import logging
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

PERIOD_S = 0.02
WARM_UP = 200


def stack(joints: int) -> dict[str, Any]:
    """The Stackfile."""

    def single(layer: str, callback: str, **params: Any) -> dict[str, Any]:
        node = {"node_id": "default", "callback": callback, "params": params}
        return {"type": "single", "layer": layer, "nodes": [node]}

    boundaries = {
        "position": single("L1", "joint_position_limits", lower=[-2.0] * joints, upper=[2.0] * joints),
        "velocity": single("L1", "joint_velocity_limit", max_velocities=[3.0] * joints),
        "acceleration": single("L1", "joint_acceleration_limit", max_acceleration=[30.0] * joints),
        "watchdog": single("L3", "hardware_watchdog", max_staleness_ms=300),
    }
    return {
        "version": "1",
        "hardware": {"joint_names": [f"joint_{index}" for index in range(joints)]},
        "boundaries": boundaries,
        "tasks": {"default": {"boundaries": list(boundaries)}},
        "safety": {"control_hz": 50, "enforcement_mode": "enforce"},
    }


def main() -> None:
    """Measure, and print one line of JSON."""
    import yaml
    from dam.api import _register_builtins
    from dam.runtime.guard_runtime import GuardRuntime
    from dam.types.action import ActionProposal
    from dam.types.observation import Observation

    logging.disable(logging.CRITICAL)
    _register_builtins()
    cycles, found = int(sys.argv[1]), []
    for joints in (6, 14):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "stack.yaml")
            path.write_text(yaml.safe_dump(stack(joints)))
            runtime = GuardRuntime.from_stackfile(str(path))
        runtime.start_task("default")
        here = np.full(joints, 0.1)
        for what, step in (("PASS", 0.01), ("CLAMP", 0.5)):
            seconds, decision = [], ""
            for index in range(WARM_UP + cycles):
                now = time.monotonic()
                seen = Observation(timestamp=now, joint_positions=here, joint_velocities=np.zeros(joints))
                wanted = ActionProposal(
                    target_joint_positions=here + step,
                    target_joint_velocities=np.full(joints, step / PERIOD_S),
                    timestamp=now,
                )
                begin = time.perf_counter()
                _, results = runtime.validate(seen, wanted, "bench", commit_state=False)
                if index >= WARM_UP:
                    seconds.append(time.perf_counter() - begin)
                decision = max((result.decision for result in results), default=0).name  # type: ignore[attr-defined]
            found.append({"what": what, "joints": joints, "decision": decision, "seconds": seconds})
        runtime.shutdown()
    print(json.dumps({"version": version("robot-dam"), "rows": found}))


if __name__ == "__main__":
    main()
