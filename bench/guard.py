# SPDX-License-Identifier: Apache-2.0
"""What the guard's checks cost per cycle, at 6 and 14 joints: `python bench/guard.py [--json] [--dam PYTHON]`.

Alone, and inside a control cycle whose record is published over DDS. `--dam` names a Python with robot-dam 0.7.0
(see rival_dam.py): the same checks are then timed there, in the same run. The floor is one numpy clip.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from report import percentiles_ms, show

from lerobot_arena.core.robot import RobotSpec, load_robot, robot_from_mapping
from lerobot_arena.guard.chain import Chain, build_chain, core_seats
from lerobot_arena.guard.checks.protocol import Body, CheckInput
from lerobot_arena.guard.config_book import ConfigBook
from lerobot_arena.guard.joint_space import arm_space
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.robot_model import geometry_of
from lerobot_arena.guard.run_checks import ChainRules
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.guard.verify.subject import Subject, subject_of

CYCLES = 3000
WARM_UP = 200
PERIOD_S = 0.02
SAME_AS_DAM = ("joint_age", "position_limits", "velocity", "acceleration")


def two_arms(folder: Path) -> RobotSpec:
    """Two arms of seven joints, made of capsules, on a table."""

    def link(side: str, index: int) -> str:
        if index == 7:
            return f'<site name="{side}_tool" pos="0 0 0.1"/>'
        axis = ("0 0 1", "0 1 0")[index % 2]
        return (
            f'<body name="{side}_{index}" pos="0 0 0.12"><joint name="{side}_{index}" axis="{axis}"/>'
            f'<geom type="capsule" size="0.03" fromto="0 0 0 0 0 0.1"/>{link(side, index + 1)}</body>'
        )

    arms = "".join(
        f'<body name="{side}" pos="0 {y} 0.2">{link(side, 0)}</body>'
        for side, y in (("left", 0.3), ("right", -0.3))
    )
    path = folder / "two_arms.xml"
    path.write_text(f"<mujoco><worldbody>{arms}</worldbody></mujoco>")
    joints = [
        {
            "name": f"{side}_{index}",
            "lower_rad": -2.0,
            "upper_rad": 2.0,
            "max_velocity_rad_s": 3.0,
            "max_acceleration_rad_s2": 30.0,
        }
        for side in ("left", "right")
        for index in range(7)
    ]
    model = {"mjcf": str(path), "end_effector": "left_tool"}
    return robot_from_mapping({"name": "two_arms", "joints": joints, "model": model})


def body_of(robot: RobotSpec, *, with_model: bool) -> Body:
    """The arm as its checks see it."""
    space = arm_space(robot)
    geometry = geometry_of(robot) if with_model else None
    return Body(space.joint_names, space.unit, space.limits, PERIOD_S, geometry)


def cycle(body: Body, step: float, phase: int) -> CheckInput:
    """One cycle in which every joint wants to move by `step` rad; a different place in every one."""
    here = tuple(0.1 + 0.0005 * (phase % 100) + 0.002 * index for index in range(len(body.joint_names)))
    speed = min(step / PERIOD_S, 2.0) * 0.9
    return CheckInput(
        joint_names=body.joint_names,
        unit=body.unit,
        limits=body.limits,
        dt_s=PERIOD_S,
        measured=here,
        joint_age_s=0.01,
        previous_command=here,
        previous_velocity=(speed,) * len(here),
        proposed=tuple(value + step for value in here),
        proposed_names=body.joint_names,
        action_age_s=0.1,
        now_s=100.0 + phase * PERIOD_S,
        chunk_sequence=1,
    )


def timed(work: Callable[[int], Any]) -> dict[str, float]:
    """Percentiles of CYCLES calls, each with its number."""
    seconds = []
    for index in range(WARM_UP + CYCLES):
        begin = time.perf_counter()
        work(index)
        if index >= WARM_UP:
            seconds.append(time.perf_counter() - begin)
    return percentiles_ms(seconds)


def chain_row(what: str, chain: Chain, body: Body, step: float) -> dict[str, Any]:
    inputs = [cycle(body, step, index) for index in range(WARM_UP + CYCLES)]
    return {
        "what": what,
        "joints": len(body.joint_names),
        **timed(lambda index: chain.evaluate(inputs[index])),
    }


def full_chain(body: Body, task: str) -> Chain:
    """Core checks and the shipped boundaries of a task, without those that want sensors which a bench has not."""
    book = ConfigBook(shipped_config(), is_virtual=False)
    checks = book.checks(task, body, ChainRules({}))
    return Chain([seat for seat in checks.chain.seats if seat.check.name != "host_health"])


def rows_of(robot: RobotSpec) -> list[dict[str, Any]]:
    """Everything that is timed alone."""
    plain, shaped = body_of(robot, with_model=False), body_of(robot, with_model=True)
    count, vector = len(plain.joint_names), np.full(len(plain.joint_names), 0.11)
    same = Chain([seat for seat in core_seats(plain, {}) if seat.check.name in SAME_AS_DAM])
    task = "default" if count == 6 else "any_arm"
    full = full_chain(shaped, task) if count == 6 else _with_geometry(shaped)
    found = [
        {"what": "floor: one numpy clip", "joints": count, **timed(lambda _: np.clip(vector, -2.0, 2.0))}
    ]
    for what, step in (("PASS", 0.01), ("CLAMP", 0.5)):
        found.append(chain_row(f"ours, the same four checks, {what}", same, plain, step))
    for what, step in (("PASS", 0.01), ("CLAMP", 0.5)):
        found.append(chain_row(f"all core checks, {what}", build_chain({}, plain), plain, step))
    for what, step in (("PASS", 0.01), ("CLAMP", 0.5)):
        found.append(chain_row(f"with kinematics and collision, {what}", full, shaped, step))
    return found


def _with_geometry(body: Body) -> Chain:
    """The checks of the shipped SO-101's boundaries on another arm."""
    from lerobot_arena.guard.chain import make_check
    from lerobot_arena.guard.seat import core_seat

    wide = {"lower_m": [-3.0] * 3, "upper_m": [3.0] * 3}
    wanted: dict[str, dict[str, Any]] = {
        "jerk": {}, "workspace_box": wide, "end_effector_speed": {}, "self_collision": {}, "table_clearance": {},
        "following_error": {}, "frozen_sensor": {}, "chunk_overlap": {}, "ood": {}, "camera_health": {},
        "frozen_policy": {},
    }  # fmt: skip
    return Chain(
        [*core_seats(body, {}), *(core_seat(make_check(name, p, body)) for name, p in wanted.items())]
    )


def control_cycles(subject: Subject, *, publish: Callable[[Any], None] | None) -> dict[str, float]:
    """Percentiles of the checks inside whole control cycles, whose records are published after the command."""
    world = subject.running()
    if publish is not None:
        world.ports.publish_cycle = lambda record: (world.ports.cycles.append(record), publish(record))[0]  # type: ignore[method-assign]
    seconds = []
    for _ in range(CYCLES):
        record = world.step()
        seconds.append(next(stage.p50_ms for stage in record.stages if stage.name == "checks") / 1e3)
        world.ports.cycles.clear()
    return percentiles_ms(seconds)


def telemetry_rows() -> list[dict[str, Any]]:
    """The shipped guard's cycles, alone and with every record on the wire."""
    subject = subject_of(load_robot("so101"), GuardParams(), shipped_config())
    rows = [{"what": "checks within the control cycle", "joints": 6, **control_cycles(subject, publish=None)}]
    try:
        from floors import init_ros

        init_ros()
        import rclpy

        from lerobot_arena.ros import convert, qos
    except ImportError:
        return rows
    node = rclpy.create_node("bench_guard")
    publisher = node.create_publisher(convert.own.Cycle, "/bench/dam/cycle", qos.STREAM)
    node.create_subscription(convert.own.Cycle, "/bench/dam/cycle", lambda message: None, qos.STREAM)
    with_telemetry = control_cycles(
        subject, publish=lambda record: publisher.publish(convert.cycle_to_msg(record))
    )
    rows.append({"what": "… with telemetry on", "joints": 6, **with_telemetry})
    node.destroy_node()
    rclpy.shutdown()
    return rows


def rival(python: str) -> list[dict[str, Any]]:
    """robot-dam's rows from its own interpreter."""
    script = Path(__file__).with_name("rival_dam.py")
    dropped = {"LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    out = subprocess.run(
        [python, str(script), str(CYCLES)], env=environment, check=True, capture_output=True, text=True
    ).stdout
    told = json.loads(out.splitlines()[-1])
    return [
        {
            "what": f"robot-dam {told['version']}, {row['what']} (it says {row['decision']})",
            "joints": row["joints"],
            **percentiles_ms(row["seconds"]),
        }
        for row in told["rows"]
    ]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [*rows_of(load_robot("so101")), *rows_of(two_arms(Path(folder)))]
    rows += telemetry_rows()
    notes = [
        "Goals: core checks p50 < 0.2 ms, with kinematics and collision < 1 ms. CLAMP checks its output again."
    ]
    if "--dam" in sys.argv:
        rows += rival(sys.argv[sys.argv.index("--dam") + 1])
    else:
        notes.append("robot-dam was not timed: see bench/rival_dam.py.")
    show(f"Guard checks, {CYCLES} cycles each", rows, notes)


if __name__ == "__main__":
    main()
