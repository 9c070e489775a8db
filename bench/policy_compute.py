# SPDX-License-Identifier: Apache-2.0
"""Our call of an exported ACT beside the bare ONNX Runtime session, and beside LeRobot's own `select_action` in torch.

`python bench/policy_compute.py [OUT]`: the shipped demo (int8, 640×480 frames) beside the checkpoint it was exported
from, which `arena train-demo OUT` leaves in OUT/checkpoint; and an export in float32 of a checkpoint with random
weights (one 96×96 camera, dim 256, chunk 50). One thread, the calls interleaved so that whatever else the machine does
hits all of them alike. The rival gets its image as LeRobot prepares it, in its training's size, ready before the clock.
"""

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from report import percentiles_ms, show

from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.inference.export import export_checkpoint
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.policies.lerobot_policy import load_checkpoint, load_processors
from lerobot_arena.inference.policies.onnx_policy import OnnxModel
from lerobot_arena.inference.policies.protocol import LoadOptions, PolicyInput
from lerobot_arena.inference.weights import file_sha256
from lerobot_arena.testing.act_checkpoint import write_act_checkpoint

ROUNDS = 150
WARM_UP = 10
SIZE = 96
WANTED = SessionWanted("bench", "arm", "", camera_names=("front",), unit="normalized", rate_hz=30.0)
FLOOR, OURS, RIVAL = "bare session (floor)", "our call", "select_action (rival)"
GOALS = "Goals: our call ≤ 1.05 × the floor; the rival ≥ 3 × our call. CPU time leaves out what other processes took."
Call = Callable[[], object]


def rival(checkpoint: Path, random: np.random.Generator, state: np.ndarray) -> Call:
    """LeRobot's `select_action` with its processors, made to compute each time."""
    import torch

    torch.set_num_threads(1)
    policy = load_checkpoint(checkpoint, "cpu")
    before, after = load_processors(policy.config, checkpoint, "cpu")
    batch = {"observation.state": torch.from_numpy(state.astype(np.float32))}
    for key, feature in policy.config.image_features.items():
        batch[key] = torch.from_numpy(random.random(feature.shape, dtype=np.float32))

    def call() -> object:
        policy.reset()
        with torch.inference_mode():
            return after(policy.select_action(before(dict(batch))))

    return call


def calls(exported: str, checkpoint: Path | None) -> dict[str, Call]:
    """What is compared on one policy."""
    random = np.random.default_rng(0)
    state = random.uniform(-50, 50, 6)
    manifest = inspect_policy(exported, wanted=WANTED, robot=None)
    model = OnnxModel(manifest, LoadOptions(threads=1))
    ours = model.open()
    (camera,) = manifest.cameras
    picture = random.integers(0, 255, (camera.height, camera.width, 3), dtype=np.uint8)
    feeds = {camera.key: picture[np.newaxis], "observation.state": state.astype(np.float32)[np.newaxis]}
    found: dict[str, Call] = {
        FLOOR: lambda: model.session.run(None, feeds),
        OURS: lambda: ours.infer([PolicyInput(state, {camera.name: picture})]),
    }
    if checkpoint is not None:
        found[RIVAL] = rival(checkpoint, random, state)
    return found


def timed(compared: Mapping[str, Call]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of each call on the clock and of CPU time, in all orders by turns: what came before fills the caches."""
    wall: dict[str, list[float]] = {name: [] for name in compared}
    cpu: dict[str, list[float]] = {name: [] for name in compared}
    orders = itertools.cycle(itertools.permutations(compared))
    for turn in range(ROUNDS + WARM_UP):
        for name in next(orders):
            begin, cpu_begin = time.perf_counter(), time.process_time()
            compared[name]()
            if turn >= WARM_UP:
                wall[name].append(time.perf_counter() - begin)
                cpu[name].append(time.process_time() - cpu_begin)
    return wall, cpu


def rows(policy: str, exported: str, checkpoint: Path | None) -> list[dict[str, Any]]:
    wall, cpu = timed(calls(exported, checkpoint))
    p50 = {name: float(np.median(values)) for name, values in wall.items()}
    cpu_p50 = {name: float(np.median(values)) for name, values in cpu.items()}
    return [
        {
            "policy": policy,
            "what": name,
            "p50_ms": p50[name] * 1e3,
            "p99_ms": percentiles_ms(values)["p99_ms"],
            "cpu_p50_ms": cpu_p50[name] * 1e3,
            "p50_of_floor": p50[name] / p50[FLOOR],
            "cpu_of_floor": cpu_p50[name] / cpu_p50[FLOOR],
            "p50_of_ours": p50[name] / p50[OURS],
            "cpu_of_ours": cpu_p50[name] / cpu_p50[OURS],
        }
        for name, values in wall.items()
    ]


def random_act(folder: Path) -> list[dict[str, Any]]:
    checkpoint = write_act_checkpoint(folder / "act", size=SIZE, chunk=50, dim=256)
    names = list(load_robot("so101").joint_names)
    metadata = {"joint_names": names, "unit": "normalized", "fps": 30.0}
    export_checkpoint(checkpoint, folder / "onnx", metadata=metadata)
    return rows("random ACT, float32", str(folder / "onnx"), checkpoint)


def origin(out: Path | None) -> tuple[Path | None, str]:
    """The demo's checkpoint in a training's folder, and how it stands to the demo."""
    if out is None:
        return None, "No rival for the demo: name the folder of an `arena train-demo OUT`."
    shipped = inspect_policy("demo", wanted=WANTED, robot=None)
    same = file_sha256(out / "model" / "model.onnx") == file_sha256(Path(shipped.path) / shipped.weights)
    what = "the checkpoint it was exported from" if same else "of another training"
    return out / "checkpoint", f"The demo's rival is {what}: {out / 'checkpoint'}."


def main() -> None:
    out = next((Path(word) for word in sys.argv[1:] if Path(word).is_dir()), None)
    checkpoint, note = origin(out)
    found = rows("demo, int8", "demo", checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        found += random_act(Path(folder))
    show("Policy compute", found, [GOALS, note])


if __name__ == "__main__":
    main()
