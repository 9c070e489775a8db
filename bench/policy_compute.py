# SPDX-License-Identifier: Apache-2.0
"""Our call of an exported ACT beside the bare ONNX Runtime session, and beside LeRobot's own `select_action` in torch.

One checkpoint (random weights, one 96×96 camera, dim 256, chunk 50), one thread, the calls interleaved so that whatever
else the machine does hits all of them alike. The rival gets its image as LeRobot prepares it, ready before the clock.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from report import percentiles_ms, show

from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.inference.export import export_checkpoint
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.policies.lerobot_policy import load_checkpoint, load_processors
from lerobot_arena.inference.policies.onnx_policy import OnnxModel
from lerobot_arena.inference.policies.protocol import LoadOptions, PolicyInput
from lerobot_arena.testing.act_checkpoint import write_act_checkpoint

ROUNDS = 150
SIZE = 96
WANTED = SessionWanted("bench", "arm", "", camera_names=("front",), unit="normalized", rate_hz=30.0)


def rival(checkpoint: Path, picture: np.ndarray, state: np.ndarray) -> Callable[[], object]:
    """LeRobot's `select_action` with its processors, made to compute each time."""
    import torch

    torch.set_num_threads(1)
    policy = load_checkpoint(checkpoint, "cpu")
    before, after = load_processors(policy.config, checkpoint, "cpu")
    batch = {
        "observation.state": torch.from_numpy(state.astype(np.float32)),
        "observation.images.front": torch.from_numpy(picture).permute(2, 0, 1).float() / 255,
    }

    def call() -> object:
        policy.reset()
        with torch.inference_mode():
            return after(policy.select_action(before(dict(batch))))

    return call


def main() -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    state = random.uniform(-50, 50, 6)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_act_checkpoint(Path(folder) / "act", size=SIZE, chunk=50, dim=256)
        exported = Path(folder) / "onnx"
        names = list(load_robot("so101").joint_names)
        export_checkpoint(
            checkpoint, exported, metadata={"joint_names": names, "unit": "normalized", "fps": 30.0}
        )
        manifest = inspect_policy(str(exported), wanted=WANTED, robot=None)
        model = OnnxModel(manifest, LoadOptions(threads=1))
        ours = model.open()
        feeds = {
            manifest.cameras[0].key: picture[np.newaxis],
            "observation.state": state.astype(np.float32)[np.newaxis],
        }
        calls: dict[str, Callable[[], object]] = {
            "bare onnxruntime session (floor)": lambda: model.session.run(None, feeds),
            "our call of the export": lambda: ours.infer([PolicyInput(state, {"front": picture})]),
            "LeRobot select_action, torch (rival)": rival(checkpoint, picture, state),
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(ROUNDS + 10):
            for name, call in calls.items():
                begin = time.perf_counter()
                call()
                if turn >= 10:
                    times[name].append(time.perf_counter() - begin)
    floor = float(np.median(times["bare onnxruntime session (floor)"]))
    rows = [
        {"what": name, **percentiles_ms(values), "p50_of_floor": float(np.median(values)) / floor}
        for name, values in times.items()
    ]
    show("Policy compute", rows, ["Goals: our call ≤ 1.05 × the floor; the rival ≥ 3 × our call."])


if __name__ == "__main__":
    main()
