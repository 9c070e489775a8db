# SPDX-License-Identifier: Apache-2.0
"""A LeRobot checkpoint as an ONNX folder that needs neither LeRobot nor torch, proven to answer alike.

Written only when its actions equal the original's within the tolerance, on random and on recorded inputs.
"""

import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference import parity
from lerobot_arena.inference.act_graph import Affine, act_module, denormalising, normalising
from lerobot_arena.inference.area import area_factors
from lerobot_arena.inference.checkpoint import ACTION, STATE, LeRobotCheckpoint, read_checkpoint
from lerobot_arena.inference.dataset_info import camera_name, find_dataset_info
from lerobot_arena.inference.manifest import (
    CameraInput,
    PolicyManifest,
    cameras_to_json,
    read_manifest,
    write_manifest,
)
from lerobot_arena.inference.policies.lerobot_policy import LeRobotModel
from lerobot_arena.inference.policies.onnx_policy import OnnxModel
from lerobot_arena.inference.policies.protocol import LoadOptions, Policy, PolicyInput, default_threads
from lerobot_arena.inference.quantise import quantise
from lerobot_arena.inference.weights import file_sha256

SUPPORTED = ("act",)
OPSET = 17
MIN_SAMPLES = 20
# Steps that the graph replaces; any other would be left out silently.
_KNOWN_STEPS = {
    "rename_observations_processor", "to_batch_processor", "device_processor", "normalizer_processor",
    "unnormalizer_processor",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written to `folder`, and how far it is from the original."""

    folder: Path
    policy_type: str
    precision: str
    nodes: int
    size_bytes: int
    sha256: str
    float32: parity.Parity
    int8: parity.Parity | None
    torch_ms: float
    onnx_ms: float
    seconds: float


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    resize: Mapping[str, tuple[int, int]] | None = None,
    calibration: Iterable[Mapping[str, Any]] | None = None,
    int8: bool = False,
    tolerance: float = 1e-4,
    int8_tolerance: float = 0.25,
    samples: int = MIN_SAMPLES,
    recorded: Iterable[Mapping[str, Any]] | None = None,
    metadata: Mapping[str, Any] | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> ExportReport:
    """Export `checkpoint` to the folder `out` and prove it.

    `resize` is camera → (height, width) of its frames where that is a multiple of the trained size: the trained-in area
    average becomes part of the graph. `recorded` and `calibration` are observations by LeRobot's feature keys (uint8
    H×W×3 frames of either size, joints in the policy's unit). The tolerances bound the largest action error, divided
    by the joint's spread of actions in training. `metadata` adds manifest keys (joint_names, unit, fps, training …).
    Raises PolicyError when the type is not supported or the tolerance is exceeded; `out` is then left as it was.
    """
    started = time.perf_counter()
    folder = read_checkpoint(Path(checkpoint))
    _check_supported(folder)
    frames = list(calibration or ()) if int8 else []
    if int8 and len(frames) < MIN_SAMPLES:
        raise PolicyError(
            f"int8 needs at least {MIN_SAMPLES} recorded observations to calibrate on, got {len(frames)}."
        )
    with tempfile.TemporaryDirectory(prefix="arena-export-") as temporary:
        stage = Path(temporary)
        job = _Export(folder, stage, dict(resize or {}), dict(metadata or {}), report)
        job.write_float32()
        job.check(tolerance, samples=samples, recorded=recorded or ())
        if int8:
            job.write_int8(frames, tolerance=int8_tolerance)
        result = job.finish(Path(out), seconds=time.perf_counter() - started)
    report(f"wrote {result.folder} ({result.size_bytes / 1e6:.1f} MB, {result.precision})")
    return result


def _check_supported(folder: LeRobotCheckpoint) -> None:
    if folder.policy_type not in SUPPORTED:
        raise PolicyError(
            f"{folder.policy_type!r} policies cannot be exported yet, only {', '.join(SUPPORTED)}. "
            "The inference node runs the checkpoint itself as well: use its folder as policy_path."
        )
    if unknown := [name for name in folder.step_names if name not in _KNOWN_STEPS]:
        raise PolicyError(
            f"{folder.folder} has the processor step {unknown[0]!r}, which the export has no graph for. "
            "Use the checkpoint folder as policy_path instead."
        )


class _Export:
    """One run of `export_checkpoint`: what its steps hand to each other."""

    def __init__(
        self,
        folder: LeRobotCheckpoint,
        stage: Path,
        resize: dict[str, tuple[int, int]],
        metadata: dict[str, Any],
        report: Callable[[str], None],
    ) -> None:
        self._folder, self._stage, self._report = folder, stage, report
        self._content = _metadata(folder, metadata)
        self._manifest = _export_manifest(folder, stage, resize, self._content)
        report(f"loading {folder.folder}")
        # The original has no resize: it takes frames as trained.
        trained = tuple(
            replace(c, height=c.trained_height, width=c.trained_width) for c in self._manifest.cameras
        )
        original = replace(self._manifest, kind="lerobot", path=str(folder.folder), cameras=trained)
        self._options = LoadOptions(threads=default_threads())
        self._torch_model = LeRobotModel(original, self._options)
        self._original: Policy = self._torch_model.open()
        self._centre, self._spread = _typical(folder, STATE, folder.state_size)
        _, self._scale = _typical(folder, ACTION, folder.action_size)
        self._int8: parity.Parity | None = None

    @property
    def _graph(self) -> Path:
        return self._stage / self._manifest.weights

    def write_float32(self) -> None:
        import torch

        manifest, norms, rename = self._manifest, self._folder.norms, self._folder.rename

        def affine(make: Callable[..., Affine], key: str, size: int) -> Affine:
            norm = norms.get(key)
            return Affine.identity(size) if norm is None else make(norm.mode, norm.stats, size, eps=norm.eps)

        images = {c.key: affine(normalising, rename.get(c.key, c.key), 3) for c in manifest.cameras}
        module = act_module(
            self._torch_model.policy.model,
            manifest.cameras,
            state=affine(normalising, STATE, self._folder.state_size),
            images=images,
            action=affine(denormalising, ACTION, self._folder.action_size),
        )
        example = [torch.zeros(1, self._folder.state_size)] if self._folder.state_size else []
        example += [torch.zeros(1, c.height, c.width, 3, dtype=torch.uint8) for c in manifest.cameras]
        names = [STATE] if self._folder.state_size else []
        self._report("tracing the graph")
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter(
                "ignore"
            )  # the exporter's own deprecation, and the tracer's remarks on constants
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                module,
                tuple(example),
                str(self._graph),
                input_names=names + [c.key for c in manifest.cameras],
                output_names=[ACTION],
                opset_version=OPSET,
                dynamo=False,
            )

    def check(self, tolerance: float, *, samples: int, recorded: Iterable[Mapping[str, Any]]) -> None:
        self._random = parity.random_inputs(
            self._manifest, max(samples, MIN_SAMPLES), centre=self._centre, spread=self._spread, seed=0
        )
        self._recorded = [parity.input_from_mapping(self._manifest, item) for item in recorded]
        self._float32 = self._compare("float32", tolerance)

    def _compare(self, precision: str, tolerance: float) -> parity.Parity:
        exported = OnnxModel(self._manifest, self._options).open()
        self._report(
            f"comparing {precision} on {len(self._random)} random, {len(self._recorded)} recorded inputs"
        )
        result = parity.compare(
            self._original,
            exported,
            self._manifest,
            random=self._random,
            recorded=self._recorded,
            scale=self._scale,
        )
        self._report(
            f"{precision}: largest error {result.max_error:.3g}, mean {result.mean_error:.3g} joint units; "
            f"{result.scaled_error:.3g} of {result.worst_joint}'s spread"
        )
        if not result.scaled_error <= tolerance:
            raise PolicyError(
                f"The {precision} export is off by {result.scaled_error:.3g} of the spread of {result.worst_joint} "
                f"({result.max_error:.3g} joint units at most), more than the tolerance {tolerance:g}: not written."
            )
        return result

    def write_int8(self, calibration: list[Mapping[str, Any]], *, tolerance: float) -> None:
        inputs = [parity.input_from_mapping(self._manifest, item) for item in calibration]
        self._report(f"quantising with {len(inputs)} recorded observations")
        quantise(self._graph, self._stage / "int8.onnx", self._manifest, inputs)
        (self._stage / "int8.onnx").replace(self._graph)
        # Noise is no input that this calibration stands for: int8 is judged on what a camera sees.
        if self._recorded:
            self._random = []
        else:
            self._random, self._recorded = [], inputs
        self._int8 = self._compare("int8", tolerance)

    def finish(self, out: Path, *, seconds: float) -> ExportReport:
        precision = "float32" if self._int8 is None else "int8"
        sha256 = file_sha256(self._graph)
        torch_ms = _median_ms(self._original, parity.as_trained(self._manifest, self._any_input()))
        onnx_ms = _median_ms(OnnxModel(self._manifest, self._options).open(), self._any_input())
        numbers = {
            "float32": asdict(self._float32),
            "int8": None if self._int8 is None else asdict(self._int8),
        }
        content = {
            **self._content,
            "sha256": sha256,
            "precision": precision,
            "parity": {**{k: v for k, v in numbers.items() if v}, "torch_ms": torch_ms, "onnx_ms": onnx_ms},
        }
        write_manifest(self._stage, content)
        out.mkdir(parents=True, exist_ok=True)
        for path in self._stage.iterdir():
            shutil.move(path, out / path.name)
        graph = out / self._manifest.weights
        return ExportReport(
            folder=out,
            policy_type=self._manifest.policy_type,
            precision=precision,
            nodes=_count_nodes(graph),
            size_bytes=graph.stat().st_size,
            sha256=sha256,
            float32=self._float32,
            int8=self._int8,
            torch_ms=torch_ms,
            onnx_ms=onnx_ms,
            seconds=seconds,
        )

    def _any_input(self) -> PolicyInput:
        return (self._recorded or self._random)[0]


def _median_ms(policy: Policy, item: PolicyInput, runs: int = 7) -> float:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        policy.infer([item])
        times.append((time.perf_counter() - started) * 1e3)
    return float(np.median(times))


def _count_nodes(graph: Path) -> int:
    import onnx

    return len(onnx.load(str(graph), load_external_data=False).graph.node)


def _typical(folder: LeRobotCheckpoint, key: str, size: int) -> tuple[FloatArray, FloatArray]:
    """(centre, spread) of a feature by its statistics; 0 and 1 where it has none."""
    norm = folder.norms.get(key)
    if norm is None:
        return np.zeros(size), np.ones(size)
    forward = normalising(norm.mode, norm.stats, size, eps=norm.eps)
    return -forward.offset / forward.scale, np.abs(1.0 / forward.scale)


def _metadata(folder: LeRobotCheckpoint, metadata: dict[str, Any]) -> dict[str, Any]:
    """What the new manifest says besides its graph: given, else the checkpoint's manifest, else its dataset."""
    found: dict[str, Any] = {}
    info = find_dataset_info(folder.folder)
    if info is not None:
        found |= {"fps": info.fps or None, "joint_names": list(info.joint_names) or None}
        found |= {"state_names": list(info.state_names) or None}
    own = read_manifest(folder.folder)
    keep = ("joint_names", "state_names", "unit", "fps", "training", "success", "notes", "cameras")
    found |= {key: own[key] for key in keep if key in own}
    found |= {"policy_type": folder.policy_type, **metadata}
    return {key: value for key, value in found.items() if value is not None}


def _export_manifest(
    folder: LeRobotCheckpoint, stage: Path, resize: Mapping[str, tuple[int, int]], content: dict[str, Any]
) -> PolicyManifest:
    """The manifest of the graph to be; completes `content`. Raises PolicyError on a camera that does not fit."""
    names = {key: camera_name(key) for key in folder.image_sizes}
    if unknown := set(resize) - set(names.values()):
        raise PolicyError(
            f"There is no camera {sorted(unknown)[0]!r} to resize; the policy has {', '.join(names.values())}."
        )
    cameras = []
    for key, (height, width) in folder.image_sizes.items():
        high, wide = resize.get(names[key], (height, width))
        area_factors(high, wide, to_height=height, to_width=width)
        cameras.append(CameraInput(names[key], key, high, wide, height, width))
    joints = tuple(content.get("joint_names") or (f"joint_{i}" for i in range(folder.action_size)))
    if len(joints) != folder.action_size:
        raise PolicyError(f"{len(joints)} joint names were given for {folder.action_size} actions.")
    states = tuple(content.get("state_names") or (joints if folder.state_size == len(joints) else ()))
    states = states if folder.state_size else ()
    if len(states) != folder.state_size:
        raise PolicyError(f"state_names must name the {folder.state_size} values of the state.")
    coeff = folder.config.get("temporal_ensemble_coeff")
    content |= {
        "weights": "model.onnx",
        "cameras": cameras_to_json(tuple(cameras)),
        "chunk_size": folder.chunk_size,
        "n_action_steps": folder.n_action_steps,
        "temporal_ensemble_coeff": coeff,
        # Unknown joint names leave the state's unknown too, unless there is no state.
        "state_names": list(states) if "joint_names" in content or not states else None,
        "stats": _stats(folder) or None,
    }
    return PolicyManifest(
        kind="onnx",
        policy_type=folder.policy_type,
        path=str(stage),
        joint_names=joints,
        unit=str(content.get("unit", "normalized")),
        fps=float(content.get("fps", 30.0)),
        cameras=tuple(cameras),
        state_names=states,
        chunk_size=folder.chunk_size,
        n_action_steps=folder.n_action_steps,
        weights="model.onnx",
    )


def _stats(folder: LeRobotCheckpoint) -> dict[str, dict[str, list[float]]]:
    """Statistics of joints, for whoever checks the unit: the graph itself needs none."""
    kept = ("min", "max", "mean", "std")
    return {
        key: {name: norm.stats[name].reshape(-1).tolist() for name in kept if name in norm.stats}
        for key in (STATE, ACTION)
        if (norm := folder.norms.get(key)) is not None
    }
