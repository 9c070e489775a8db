# SPDX-License-Identifier: Apache-2.0
"""How often the demo's detector raises an alarm: on clean episodes, and when the camera does not see what it should.

The demo policy drives the emulated loop (platform/training/evaluate.py) over unseen seeds; each picture it is asked
about is scored as the inference process would. An episode has an alarm when one observation is above the threshold.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from report import show

import lerobot_arena
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.inference.scores.detector import Detector
from lerobot_arena.inference.scores.detector_file import read_detector
from lerobot_arena.platform.training.demo import ROBOT
from lerobot_arena.platform.training.demonstration import CAMERA
from lerobot_arena.platform.training.evaluate import Loop, PolicyDriver, Success

MODEL = Path(lerobot_arena.__file__).parent / "models/demo"
FIRST_SEED = 5000  # above the seeds of the demo and of its measured success, below those of its training
Pixels = NDArray[np.uint8]


def _levels(picture: NDArray[Any]) -> Pixels:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _noise(sigma: float, picture: Pixels) -> Pixels:
    # Seeded by the picture, so that the same run gives the same figures.
    random = np.random.default_rng(int(picture[::64, ::64].sum()))
    return _levels(picture + random.normal(0, sigma, picture.shape).astype(np.float32))


def _hand(picture: Pixels) -> Pixels:
    changed = picture.copy()
    changed[120:360, 330:520] = (196, 152, 128)
    return changed


def _dimmed(share: float, scene: Any) -> None:
    light = scene.model.vis.headlight
    light.ambient[:], light.diffuse[:] = light.ambient * share, light.diffuse * share
    scene.model.light_diffuse[:] *= share


def _moved(metres: float, scene: Any) -> None:
    scene.model.cam_pos[0] += (0.0, metres, 0.0)


# What is done to the world before the first picture, or to each picture.
WORLDS: dict[str, Callable[[Any], None]] = {
    "lights at 130 %": partial(_dimmed, 1.3),
    "lights at 90 %": partial(_dimmed, 0.9),
    "lights at 70 %": partial(_dimmed, 0.7),
    "lights at 40 %": partial(_dimmed, 0.4),
    "camera moved 1 cm": partial(_moved, 0.01),
    "camera moved 3 cm": partial(_moved, 0.03),
}
PICTURES: dict[str, Callable[[Pixels], Pixels]] = {
    "covered, grey": lambda picture: np.full_like(picture, 128),
    "covered, black": np.zeros_like,
    "noise, sigma 10 of 255": partial(_noise, 10.0),
    "noise, sigma 25 of 255": partial(_noise, 25.0),
    "noise, sigma 50 of 255": partial(_noise, 50.0),
    "warmer by 10 %": lambda picture: _levels(picture * np.array([1.1, 1.0, 0.9])),
    "hand before a tenth": _hand,
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
}
CLEAN = "clean"


class Scored:
    """The demo policy, each of its observations scored."""

    replans = True

    def __init__(self, policy: PolicyDriver, detector: Detector, change: Callable[[Pixels], Pixels]) -> None:
        self._policy, self._detector, self._change = policy, detector, change
        self.distances: list[float] = []
        self.seconds: list[float] = []

    def chunk(self, scene: Any, look: Callable[[], Pixels]) -> NDArray[np.float64]:
        picture = self._change(look())
        state = scene.robot.from_radians(scene.joint_positions(), NORMALIZED)
        began = time.perf_counter()
        self.distances.append(self._detector.distance({CAMERA: picture}, state))
        self.seconds.append(time.perf_counter() - began)
        return self._policy.chunk(scene, lambda: picture)


@cache
def _stage(condition: str, folder: Path) -> tuple[Loop, PolicyDriver, Detector]:
    robot = load_robot(ROBOT)
    loop, detector = Loop(robot), read_detector(folder)
    assert detector is not None
    WORLDS.get(condition, lambda scene: None)(loop.scene)
    return loop, PolicyDriver(folder, robot), detector


def _episode(condition: str, folder: Path, seed: int) -> tuple[bool, list[float], list[float]]:
    loop, policy, detector = _stage(condition, folder)
    driver = Scored(policy, detector, PICTURES.get(condition, lambda picture: picture))
    return loop.run(driver, seed), driver.distances, driver.seconds


def _row(
    condition: str, results: list[tuple[bool, list[float], list[float]]], threshold: float
) -> dict[str, Any]:
    distances = [value for _, values, _ in results for value in values]
    alarms = Success(sum(max(values) > threshold for _, values, _ in results), len(results))
    return {
        "condition": condition,
        "task done": f"{sum(done for done, _, _ in results)}/{len(results)}",
        "episodes with an alarm": str(alarms),
        "observations above": f"{np.mean(np.array(distances) > threshold):.1%}",
        "median": round(float(np.median(distances)), 2),
        "largest": round(max(distances), 2),
        "p50_ms": round(float(np.median([s for _, _, times in results for s in times])) * 1e3, 2),
    }


def rows(folder: Path, episodes: int, clean: int, workers: int, threshold: float) -> Iterator[dict[str, Any]]:
    """Each condition in fresh processes: a changed world stays changed."""
    context = multiprocessing.get_context("spawn")
    for condition in (CLEAN, *WORLDS, *PICTURES):
        count = clean if condition == CLEAN else episodes
        with context.Pool(workers) as pool:
            run = partial(_episode, condition, folder)
            yield _row(condition, pool.map(run, range(FIRST_SEED, FIRST_SEED + count)), threshold)


def main(
    episodes: Annotated[int, typer.Option(help="Of each changed condition.")] = 20,
    clean: Annotated[int, typer.Option(help="Of the clean one.")] = 200,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    model: Annotated[Path, typer.Option(help="A model folder with ood.safetensors.")] = MODEL,
    json_: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure the demo's detector."""
    detector = read_detector(model)
    if detector is None or detector.calibration is None:
        raise typer.BadParameter(f"{model} has no ood.safetensors.")
    calibration = detector.calibration
    notes = [
        f"Threshold {calibration.threshold:.3f}: {len(calibration.maxima)} episodes, alpha {calibration.alpha:g}.",
        "Goal: of the clean episodes at most alpha have an alarm (Wilson 95 % interval).",
    ]
    show("Out of distribution", list(rows(model, episodes, clean, workers, calibration.threshold)), notes)


if __name__ == "__main__":
    typer.run(main)
