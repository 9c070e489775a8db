# SPDX-License-Identifier: Apache-2.0
"""The browser's physics and policy against Python's: the same seconds, tick by tick.

The loop here is written from the ControlSpec's text, not from the page's source.
"""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lerobot_arena.testing.live_bridge import live_bridge
from lerobot_arena.testing.run_page_rig import rover_run, rover_server, swift_chromium
from lerobot_arena.testing.run_page_rover import ENTRY_XML, rover_control, rover_files, rover_policy
from lerobot_arena.testing.run_page_server import RunPageServer, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api")
mujoco = pytest.importorskip("mujoco")

# Two compilers and two builds of onnxruntime: after 400 steps with contacts they differ by rounding only.
# Seen: 5e-7 m and rad, 1.3e-5 m/s and rad/s.
POSITION_TOLERANCE = 1e-5
SPEED_TOLERANCE = 1e-3
SHIPPED_DRIVES = (((0.6, 0.0, 0.0), 60, False), ((0.8, 0.0, 0.0), 180, True))
DRIVES = (((0.8, 0.0, 0.0), 50), ((0.3, 0.0, 1.0), 50))

# Loads a run into the page's own worker without a clock, drives, and returns every tick.
PLAY = """
async ({run, drives}) => {
  const worker = new Worker('/ui/run/worker.js', {type: 'module'});
  const heard = (type) => new Promise((resolve, reject) => {
    worker.addEventListener('message', function listen({data}) {
      if (data.type === 'error') reject(new Error(data.message));
      if (data.type !== type) return;
      worker.removeEventListener('message', listen);
      resolve(data);
    });
  });
  const ready = heard('ready');
  const engineUrl = `${location.origin}/ui/run/engine/`;
  worker.postMessage({type: 'load', run, base: location.href, engineUrl, realTime: false});
  await ready;
  const rows = [];
  for (const [command, ticks, resets] of drives) {
    const trace = heard('trace');
    if (resets) worker.postMessage({type: 'reset', seq: 0});
    worker.postMessage({type: 'command', command, seq: 1});
    worker.postMessage({type: 'advance', ticks});
    rows.push(...(await trace).rows);
  }
  worker.terminate();
  return rows;
}
"""


@pytest.fixture(scope="module")
def stage() -> "Iterator[tuple[RunPageServer, Page]]":
    with serving(rover_server()) as server, swift_chromium() as browser:
        if browser is None:
            pytest.skip("no Chromium: `apt-get install chromium`")
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{server.url}/host.html")
        yield server, page


@pytest.mark.parametrize("actuators", [True, False], ids=["actuators", "bare_joints"])
def test_two_seconds_are_the_same_in_the_browser(
    stage: "tuple[RunPageServer, Page]", tmp_path: Path, actuators: bool
) -> None:
    _, page = stage
    run = rover_run(robot__bundleUrl="/driven.zip" if actuators else "/rover.zip")
    there = page.evaluate(PLAY, {"run": run, "drives": DRIVES})
    here = _play_in_python(tmp_path, actuators)
    assert len(there) == len(here) == 100
    for tick, (theirs, (time_s, qpos, qvel, action)) in enumerate(zip(there, here, strict=True)):
        assert theirs["timeS"] == pytest.approx(time_s, abs=1e-9)
        assert np.abs(qpos - theirs["qpos"]).max() < POSITION_TOLERANCE, f"tick {tick}"
        assert np.abs(qvel - theirs["qvel"]).max() < SPEED_TOLERANCE, f"tick {tick}"
        assert np.abs(action - theirs["action"]).max() < SPEED_TOLERANCE, f"tick {tick}"
    # It was worth comparing: the rover went ahead and turned.
    assert here[-1][1][0] > 0.5 and abs(here[-1][1][6]) > 0.05


def test_the_server_s_runner_goes_the_same_way(stage: "tuple[RunPageServer, Page]", tmp_path: Path) -> None:
    from lerobot_arena.platform.catalog.control_spec import from_json
    from lerobot_arena.platform.catalog.runner import Runner

    _, page = stage
    there = page.evaluate(PLAY, {"run": rover_run(), "drives": DRIVES})
    _model(tmp_path, actuators=False)
    (tmp_path / "policy.onnx").write_bytes(rover_policy())
    runner = Runner(tmp_path / ENTRY_XML, tmp_path / "policy.onnx", from_json(rover_control()))
    rows = iter(there)
    for command, ticks in DRIVES:
        runner.command(*command)
        for _ in range(ticks):
            state = runner.step()
            theirs = next(rows)
            assert theirs["timeS"] == pytest.approx(state.time_s, abs=1e-9)
            assert np.abs(runner.body.data.qpos - theirs["qpos"]).max() < POSITION_TOLERANCE
            assert np.abs(runner.body.data.qvel - theirs["qvel"]).max() < SPEED_TOLERANCE


def test_what_is_shipped_goes_the_same_way_in_its_scene_and_after_a_reset(
    stage: "tuple[RunPageServer, Page]", tmp_path: Path
) -> None:
    """From the catalog's own run.json and files, as the page and the server's instances have them."""
    from lerobot_arena.platform.catalog import bundle, control_spec
    from lerobot_arena.platform.catalog.limits import Limits
    from lerobot_arena.platform.catalog.runner import Runner

    with live_bridge(tmp_path / "data", beats=False, seed_catalog=True) as bridge:
        page = stage[1]
        address = f"{bridge.url}/lerobot-arena/pony-trot/run.json"
        deadline = time.monotonic() + 60
        while not (answer := page.request.get(address)).ok:
            assert time.monotonic() < deadline, "the shipped policies are not published"
            time.sleep(0.2)  # how often it looks; a child process checks what is shipped
        run = answer.json()
        home = page.url
        page.goto(f"{bridge.url}/leaderboard")
        there = page.evaluate(PLAY, {"run": run, "drives": SHIPPED_DRIVES})

        def fetch(link: str, name: str) -> Path:
            (tmp_path / name).write_bytes(page.request.get(bridge.url + link).body())
            return tmp_path / name

        bundle.unpack(fetch(run["robot"]["bundleUrl"], "robot.zip"), tmp_path / "robot", Limits().zip)
        fetch(run["scene"]["benchmark"]["xmlUrl"], "robot/scene_physics.xml")
        model = fetch(run["policy"]["modelUrl"], "policy.onnx")
        page.goto(home)
    both = "".join(
        f'<include file="{name}"/>' for name in (run["robot"]["entryXmlPath"], "scene_physics.xml")
    )
    (tmp_path / "robot" / "whole.xml").write_text(f"<mujoco>{both}</mujoco>")
    spec = control_spec.from_json(run["policy"]["controlSpec"])
    runner = Runner(tmp_path / "robot" / "whole.xml", model, spec)
    rows = iter(there)
    for command, ticks, resets in SHIPPED_DRIVES:
        if resets:
            runner.reset()
        runner.command(*command)
        for _ in range(ticks):
            state, theirs = runner.step(), next(rows)
            assert theirs["timeS"] == pytest.approx(state.time_s, abs=1e-9)
            assert np.abs(runner.body.data.qpos - theirs["qpos"]).max() < POSITION_TOLERANCE
            assert np.abs(runner.body.data.qvel - theirs["qvel"]).max() < SPEED_TOLERANCE
    # It was worth comparing: it stands on the first step of the course.
    assert not state.fell and state.base_pos[2] > 0.25


def _play_in_python(folder: Path, actuators: bool) -> list[tuple[float, Any, Any, Any]]:
    import onnxruntime

    spec = rover_control()
    network = onnxruntime.InferenceSession(rover_policy(), providers=["CPUExecutionProvider"])
    loop = _Loop(_model(folder, actuators), spec, actuators)
    rows = []
    for command, ticks in DRIVES:
        for _ in range(ticks):
            observation = loop.observe(command)
            (raw,) = network.run([spec["output_name"]], {spec["input_name"]: observation[None]})
            rows.append(loop.step(raw[0]))
    return rows


def _model(folder: Path, actuators: bool) -> Any:
    for name, text in rover_files(actuators=actuators).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return mujoco.MjModel.from_xml_path(str(folder / ENTRY_XML))


class _Loop:
    def __init__(self, model: Any, spec: dict[str, Any], actuators: bool) -> None:
        self.model, self.spec, self.actuators = model, spec, actuators
        self.data = mujoco.MjData(model)
        joints = [model.joint(name) for name in spec["joint_names"]]
        self.qpos_at = [joint.qposadr[0] for joint in joints]
        self.dof_at = [joint.dofadr[0] for joint in joints]
        if not actuators:
            model.dof_damping[self.dof_at] = spec["damping"]
            model.dof_armature[self.dof_at] = spec["armature"]
        self.histories: list[deque[Any]] = []
        self.last = np.zeros(len(joints), np.float32)
        self._reset()

    def _reset(self) -> None:
        mujoco.mj_resetDataKeyframe(self.model, self.data, self.model.key("home").id)
        self.data.qpos[:7] = self.spec["initial"]["base_pos"] + self.spec["initial"]["base_quat"]
        self.data.qpos[self.qpos_at] = self.spec["default_joint_pos"]
        self.data.qvel[:] = 0
        mujoco.mj_forward(self.model, self.data)

    def _raw(self, name: str, command: Any) -> Any:
        data, turn = self.data, np.zeros(9)
        mujoco.mju_quat2Mat(turn, data.qpos[3:7])
        to_body = turn.reshape(3, 3).T
        has_imu = self.actuators
        if name == "gait_phase":
            return [np.sin(2 * np.pi * data.time / 0.8), np.cos(2 * np.pi * data.time / 0.8)]
        return {
            "base_lin_vel": data.sensor("imu_lin_vel").data if has_imu else to_body @ data.qvel[:3],
            "base_ang_vel": data.sensor("imu_ang_vel").data if has_imu else data.qvel[3:6],
            "projected_gravity": to_body @ [0, 0, -1],
            "command": command,
            "joint_pos": data.qpos[self.qpos_at] - self.spec["default_joint_pos"],
            "joint_vel": data.qvel[self.dof_at],
            "actions": self.last,
        }[name]

    def observe(self, command: Any) -> Any:
        parts: list[float] = []
        for index, term in enumerate(self.spec["observations"]):
            low, high = term["clip"] or (-np.inf, np.inf)
            reading = np.clip(np.array(self._raw(term["name"], command), float), low, high) * term["scale"]
            if len(self.histories) == index:
                self.histories.append(deque([reading] * term["history_length"], term["history_length"]))
            else:
                self.histories[index].append(reading)
            parts += self.histories[index]
        return np.concatenate(parts).astype(np.float32)

    def step(self, raw: Any) -> tuple[float, Any, Any, Any]:
        spec, data = self.spec, self.data
        self.last = raw
        target = raw.astype(float) * spec["action_scale"] + spec["action_offset"]
        target = np.clip(target, *np.array(spec["action_clip"]).T)
        for _ in range(round(spec["control_dt"] / self.model.opt.timestep)):
            if self.actuators:
                data.ctrl[:] = target
            else:
                data.qfrc_applied[self.dof_at] = spec["stiffness"] * (target - data.qpos[self.qpos_at])
            mujoco.mj_step(self.model, data)
        return data.time, data.qpos.copy(), data.qvel.copy(), raw
