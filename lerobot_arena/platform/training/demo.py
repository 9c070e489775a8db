# SPDX-License-Identifier: Apache-2.0
"""`arena train-demo`: expert → LeRobotDataset → ACT → ONNX int8 → measured success, from one seed."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from functools import cache, partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.embodiment.simulation.task import TASK_TEXT
from lerobot_arena.platform.training.collect import collect
from lerobot_arena.platform.training.dataset import IMAGE, STATE, Frames, read_frames, write_dataset
from lerobot_arena.platform.training.demonstration import CAMERA, FPS, camera_of
from lerobot_arena.platform.training.detector import write_demo_detector
from lerobot_arena.platform.training.evaluate import (
    Driver,
    ExpertDriver,
    Loop,
    PolicyDriver,
    ReplayDriver,
    Success,
    count,
)
from lerobot_arena.platform.training.train import TrainReport, TrainRules, train_act

ROBOT = "so101"
# Of the dataset, at random: two thirds calibrate int8, one third compares it.
CALIBRATION_FRAMES = 192
# The largest error of any joint at any step, as a share of the joint's spread. It is large at the one instant when
# the jaws close a frame earlier or later; the mean is a hundredth of it, and success is measured besides.
INT8_TOLERANCE = 0.5
# Below every seed that training draws from, above those that the demo starts with.
FIRST_UNSEEN_SEED = 1000
DRIVERS = ("policy", "expert", "covered", "replay")

Report = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Where the model is, how often each driver succeeded, and what its detector was calibrated on."""

    folder: Path
    success: Mapping[str, Success]
    seconds: float
    detector: str


def train_demo(
    out_dir: Path,
    *,
    episodes: int = 250,
    minutes: float = 12.0,
    seed: int = 0,
    workers: int = 2,
    report: Report = lambda text, share: None,
    steps: int = 2000,
    test_episodes: int = 100,
) -> DemoReport:
    """Make the demo policy in `out_dir`: dataset/, checkpoint/, model/ with manifest.json.

    `episodes` demonstrations; training ends after `steps` or `minutes`; `workers` processes collect and evaluate.
    `report(text, share)` hears of progress, share 0..1. The same arguments give the same demonstrations and, unless
    the minutes end first, the same training. Raises InvalidInput when `out_dir` holds an earlier run.
    """
    started = time.monotonic()
    # Before LeRobot is imported: all it needs is made here.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    out = Path(out_dir)
    if out.exists() and any(out.iterdir()):
        raise InvalidInput(f"{out} is not empty: name a new folder, so that no earlier training is lost.")
    out.mkdir(parents=True, exist_ok=True)
    robot = load_robot(ROBOT)
    shares = _Shares(report)
    found = collect(ROBOT, episodes, seed=seed, workers=workers)
    write_dataset(shares.each("collect", found, episodes), out / "dataset", robot)
    frames = read_frames(out / "dataset")
    rules = TrainRules(steps=steps, minutes=minutes, seed=seed, threads=workers)
    trained = train_act(
        frames, out / "checkpoint", rules=rules, report=lambda share, text: shares.tell("train", share, text)
    )
    options = f"--episodes {episodes} --minutes {minutes:g} --steps {steps} --seed {seed} --workers {workers}"
    training = {
        "command": f"arena train-demo OUT {options}",
        "task": TASK_TEXT,
        "seed": seed,
        "episodes": episodes,
        "frames": len(frames.states),
        "rules": asdict(rules),
        **_rounded(trained),
    }
    shares.tell("export", 0.0, "exporting")
    with redirect_stdout(StringIO()):  # LeRobot prints what it loads, into what a caller may want to parse
        export_demo(out / "checkpoint", out / "model", frames, robot, training, seed=seed)
    shares.tell("export", 0.5, "fitting the detector")
    detector = write_demo_detector(frames, out / "model")
    shares.tell("export", 1.0, "exported")
    recording = _first_episode(frames)
    success = {
        name: evaluate(name, out / "model", test_episodes, workers=workers, recording=recording)
        for name in shares.each("evaluate", DRIVERS, len(DRIVERS))
    }
    write_success(out / "model", success)
    report(f"policy: {success['policy']}", 1.0)
    return DemoReport(out / "model", success, time.monotonic() - started, detector)


def _rounded(trained: TrainReport) -> dict[str, Any]:
    return {"steps": trained.steps, "seconds": round(trained.seconds), "loss": round(trained.loss, 5)}


class _Shares:
    """Turns the progress of the parts into one share of the whole."""

    _SPANS: Mapping[str, tuple[float, float]] = {
        "collect": (0.0, 0.3), "train": (0.3, 0.9), "export": (0.9, 0.93), "evaluate": (0.93, 1.0),
    }  # fmt: skip

    def __init__(self, report: Report) -> None:
        self._report = report

    def tell(self, part: str, share: float, text: str) -> None:
        low, high = self._SPANS[part]
        self._report(f"{part}: {text}", low + (high - low) * min(share, 1.0))

    def each[T](self, part: str, items: Iterable[T], total: int) -> Iterator[T]:
        """Hand the items on, telling how many there were."""
        for index, item in enumerate(items):
            yield item
            self.tell(part, (index + 1) / total, f"{index + 1} of {total}")


def export_demo(
    checkpoint: Path, out: Path, frames: Frames, robot: RobotSpec, training: Mapping[str, Any], *, seed: int
) -> None:
    """Export to int8, calibrated and compared on frames of the dataset. Raises PolicyError beyond tolerance."""
    from lerobot_arena.inference.export import export_checkpoint

    picked = np.random.default_rng(seed).permutation(len(frames.states))[:CALIBRATION_FRAMES]
    observations = [{IMAGE: frames.images[index], STATE: frames.states[index]} for index in picked]
    recorded = len(picked) // 3
    camera = camera_of(robot)
    export_checkpoint(
        checkpoint,
        out,
        resize={CAMERA: (camera.height, camera.width)},
        calibration=observations[recorded:],
        recorded=observations[:recorded],
        int8=True,
        int8_tolerance=INT8_TOLERANCE,
        metadata={
            "joint_names": list(robot.joint_names),
            "unit": NORMALIZED,
            "fps": float(FPS),
            "training": dict(training),
        },
    )


def _first_episode(frames: Frames) -> Any:
    return frames.actions[: frames.ends[0]].astype(np.float64)


def evaluate(
    driver: str,
    folder: Path,
    episodes: int,
    *,
    workers: int,
    recording: Any = None,
    first_seed: int = FIRST_UNSEEN_SEED,
) -> Success:
    """Success of one of DRIVERS over unseen seeds, by several processes; `recording` is what replay plays."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _ask_loop, (driver, folder, recording)) as pool:
        return count(pool.imap(_run_seed, range(first_seed, first_seed + episodes)))


_asked: list[tuple[str, Path, Any]] = []


def _ask_loop(*wanted: Any) -> None:
    # Opened by the first seed: what fails while a pool's process starts is tried again for ever.
    _asked[:] = [wanted]


@cache
def _loop() -> Callable[[int], bool]:
    name, folder, recording = _asked[0]
    robot = load_robot(ROBOT)
    loop = Loop(robot)
    makers: dict[str, Callable[[], Driver]] = {
        "policy": lambda: PolicyDriver(folder, robot),
        "covered": lambda: PolicyDriver(folder, robot, covered=True),
        "expert": lambda: ExpertDriver(robot, loop.scene),
        "replay": lambda: ReplayDriver(robot.to_radians(recording, NORMALIZED)),
    }
    return partial(loop.run, makers[name]())


def _run_seed(seed: int) -> bool:
    return _loop()(seed)


def write_success(folder: Path, success: Mapping[str, Success]) -> None:
    """Add the measured success of each driver to the manifest."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["success"] = {
        "how": f"offline loop (platform/training/evaluate.py), seeds from {FIRST_UNSEEN_SEED}",
        **{name: result.as_json() for name, result in success.items()},
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
