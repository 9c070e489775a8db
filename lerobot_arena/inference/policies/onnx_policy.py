# SPDX-License-Identifier: Apache-2.0
"""An exported graph under ONNX Runtime. The graph takes camera frames as they are, so there is nothing to prepare."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import PolicyError, PolicyFailed
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.checkpoint import ACTION, STATE
from lerobot_arena.inference.ensemble import TemporalEnsemble
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.onnx_file import check_onnx
from lerobot_arena.inference.policies.protocol import LoadOptions, PolicyInput
from lerobot_arena.inference.weights import inside


def load(manifest: PolicyManifest, options: LoadOptions) -> "OnnxModel":
    """Load the graph named by the manifest. Raises PolicyError."""
    return OnnxModel(manifest, options)


def open_session(path: Path, threads: int) -> Any:
    """An ONNX Runtime session on the CPU. Idle threads sleep: spinning would take the guard's core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes are private to the extension module
        raise PolicyError(f"ONNX Runtime cannot load {path}: {str(error)[:400]}") from error


class OnnxModel:
    """The graph in memory."""

    def __init__(self, manifest: PolicyManifest, options: LoadOptions) -> None:
        path = inside(Path(manifest.path), manifest.weights, what="the graph")
        check_onnx(path)
        self.manifest = manifest
        self.device = "cpu"
        self.session = open_session(path, options.threads)
        self._check_signature(path)

    def _check_signature(self, path: Path) -> None:
        have = {i.name: (i.type, list(i.shape)) for i in self.session.get_inputs()}
        want: dict[str, tuple[str, list[int]]] = {
            c.key: ("tensor(uint8)", [1, c.height, c.width, 3]) for c in self.manifest.cameras
        }
        if self.manifest.state_names:
            want[STATE] = ("tensor(float)", [1, len(self.manifest.state_names)])
        if have != want:
            raise PolicyError(f"{path} takes {have}, but its manifest says {want}. Export it again.")
        (output,) = self.session.get_outputs() if len(self.session.get_outputs()) == 1 else (None,)
        shape = [1, self.manifest.chunk_size, len(self.manifest.joint_names)]
        if output is None or output.name != ACTION or list(output.shape) != shape:
            raise PolicyError(
                f"{path} does not give one output {ACTION!r} of shape {shape}. Export it again."
            )

    def open(self) -> "OnnxPolicy":
        """A session's own ensemble on the shared graph."""
        return OnnxPolicy(self)


class OnnxPolicy:
    """One session of an exported graph."""

    def __init__(self, model: OnnxModel) -> None:
        manifest = model.manifest
        self._run = model.session.run
        self._shape = (manifest.chunk_size, len(manifest.joint_names))
        self._keys = [(camera.name, camera.key) for camera in manifest.cameras]
        self._takes_state = bool(manifest.state_names)
        coeff = manifest.temporal_ensemble_coeff
        self._ensemble = None if coeff is None else TemporalEnsemble(coeff, 1.0 / manifest.fps)
        self.stage_ms: Mapping[str, float] = {}

    def reset(self) -> None:
        """Forget past chunks."""
        if self._ensemble is not None:
            self._ensemble.reset()

    def infer(self, history: Sequence[PolicyInput]) -> FloatArray:
        """One run of the graph on the newest observation."""
        started = time.perf_counter()
        newest = history[-1]
        feeds: dict[str, Any] = {key: newest.frames[name][np.newaxis] for name, key in self._keys}
        if self._takes_state:
            feeds[STATE] = newest.state.astype(np.float32)[np.newaxis]
        prepared = time.perf_counter()
        try:
            (actions,) = self._run(None, feeds)
        except Exception as error:  # its exception classes are private to the extension module
            raise PolicyFailed(f"ONNX Runtime failed: {str(error)[:400]}") from error
        computed = time.perf_counter()
        chunk = actions.reshape(self._shape).astype(np.float64)
        if self._ensemble is not None:
            chunk = self._ensemble.update(chunk, newest.time_s)
        self.stage_ms = {
            "preprocess": (prepared - started) * 1e3,
            "network": (computed - prepared) * 1e3,
            "postprocess": (time.perf_counter() - computed) * 1e3,
        }
        return chunk
