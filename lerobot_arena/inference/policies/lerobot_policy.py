# SPDX-License-Identifier: Apache-2.0
"""A LeRobot checkpoint of any type, run by LeRobot itself: its factory, its weights, its processors."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import PolicyError, PolicyFailed
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.checkpoint import STATE, STATELESS_TYPES, WEIGHTS
from lerobot_arena.inference.ensemble import TemporalEnsemble
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.loaded import SWALLOWS_ERRORS, check_loaded
from lerobot_arena.inference.policies.protocol import LoadOptions, PolicyInput

# The single key under which a policy's queue keeps all its cameras, stacked.
_STACKED = {
    "diffusion": "observation.images",
    "vqbet": "observation.images",
    "multi_task_dit": "observation.images",
}

_TOKENIZER = "tokenizer_processor"
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def load(manifest: PolicyManifest, options: LoadOptions) -> "LeRobotModel":
    """Load the checkpoint folder. Raises PolicyError."""
    return LeRobotModel(manifest, options)


def load_checkpoint(folder: Path, device: str) -> Any:
    """The policy, in evaluation mode, with the checkpoint's weights and nothing else. Raises PolicyError."""
    _require_lerobot()
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class

    if not folder.is_dir():  # LeRobot would take a missing folder for a name on the hub
        raise PolicyError(f"The policy folder {folder} does not exist.")
    try:
        config = PreTrainedConfig.from_pretrained(folder)
        config.device = device
        if hasattr(config, "pretrained_backbone_weights"):
            config.pretrained_backbone_weights = None  # torchvision would fetch them, only to be overwritten
        policy = get_policy_class(config.type).from_pretrained(folder, config=config, strict=True)
        if config.type in SWALLOWS_ERRORS:
            check_loaded(policy, folder / WEIGHTS)
        return policy
    except (RuntimeError, ValueError, TypeError, KeyError, ImportError, OSError) as error:
        raise PolicyError(f"LeRobot cannot load {folder}: {_first_lines(error)}") from error


def load_processors(config: Any, folder: Path, device: str) -> tuple[Any, Any]:
    """The checkpoint's own pre- and post-processor, new ones for each caller. Raises PolicyError."""
    from lerobot.policies.factory import make_pre_post_processors
    from lerobot.processor import ProcessorStepRegistry

    from lerobot_arena.inference.manifest import read_json

    steps = {s["registry_name"]: s for s in read_json(folder / "policy_preprocessor.json")["steps"]}
    for name in steps:
        if name in ProcessorStepRegistry.list() and not ProcessorStepRegistry.get(name).__module__.startswith(
            "lerobot."
        ):
            raise PolicyError(f"The processor step {name!r} is not LeRobot's own; it is not run.")
    overrides: dict[str, Any] = (
        {"device_processor": {"device": device}} if "device_processor" in steps else {}
    )
    if _TOKENIZER in steps:
        overrides[_TOKENIZER] = {"tokenizer_name": _tokenizer(folder, steps[_TOKENIZER].get("config", {}))}
    try:
        return make_pre_post_processors(config, pretrained_path=str(folder), preprocessor_overrides=overrides)
    except (RuntimeError, ValueError, TypeError, KeyError, ImportError, OSError) as error:
        raise PolicyError(
            f"LeRobot cannot build the processors of {folder}: {_first_lines(error)}"
        ) from error


def _tokenizer(folder: Path, settings: Mapping[str, Any]) -> str:
    """The checkpoint's own tokenizer, else the one of that name in the hub's cache. Raises PolicyError for a path."""
    own = folder / "tokenizer"
    if own.is_dir():
        return str(own)
    name = str(settings.get("tokenizer_name", ""))
    if not _HUB_NAME.fullmatch(name):
        raise PolicyError(f"{folder} names the tokenizer {name[:80]!r}, which is no hub id like org/name.")
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(name, "tokenizer_config.json"), str):
        raise PolicyError(
            f"{folder} needs the tokenizer {name}: put its files into its folder tokenizer/, or fetch them "
            f"once with `hf download {name} --include 'tokenizer*'`."
        )
    return name


def check_finite(policy: Any, folder: Path) -> None:
    """Raise PolicyError naming the first tensor with a NaN or an infinity."""
    import torch

    for name, tensor in policy.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise PolicyError(
                f"{folder}: the weights of {name!r} are not finite. Train or download it again."
            )


def _require_lerobot() -> None:
    try:
        import lerobot.policies.factory  # noqa: F401
    except ImportError as error:
        raise PolicyError(
            f"A LeRobot checkpoint needs LeRobot and torch ({error}): pip install 'lerobot_arena[lerobot]', or export "
            "it once elsewhere with `arena export` and use the ONNX folder."
        ) from error


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4])[:600] or type(error).__name__


class LeRobotModel:
    """The checkpoint in memory."""

    def __init__(self, manifest: PolicyManifest, options: LoadOptions) -> None:
        self.manifest = manifest
        self.folder = Path(manifest.path)
        self.device = options.device
        self.policy = load_checkpoint(self.folder, options.device)
        check_finite(self.policy, self.folder)
        if options.threads:
            import torch

            torch.set_num_threads(options.threads)

    def open(self) -> "LeRobotPolicy":
        """A session's own processors and history on the shared weights."""
        pre, post = load_processors(self.policy.config, self.folder, self.device)
        return LeRobotPolicy(self, pre, post)

    def compute(self, prepared: Sequence[list[dict[str, Any]]]) -> list[Any]:
        """The policy's own chunk call on the histories of one or more sessions; see protocol.BatchedModel."""
        import torch

        with torch.inference_mode():
            if len(prepared) == 1:
                return [self._chunk(prepared[0])]
            newest = [batches[-1] for batches in prepared]
            joined = {key: _joined([batch[key] for batch in newest]) for key in newest[0]}
            actions = list(self.policy.predict_action_chunk(joined).split(1))
        if len(actions) != len(prepared):
            raise PolicyFailed(f"The policy gave {len(actions)} chunks for {len(prepared)} observations.")
        return actions

    def _chunk(self, batches: list[dict[str, Any]]) -> Any:
        policy, kind = self.policy, self.manifest.policy_type
        queues = getattr(policy, "_queues", None)
        if kind in STATELESS_TYPES or not isinstance(queues, dict):
            return policy.predict_action_chunk(batches[-1])
        # These read observations from queues that only select_action fills. They are filled anew from the
        # synchroniser's history: a request comes once per chunk, so what the queue remembers is a chunk old.
        from lerobot.policies.utils import populate_queues

        for queue in queues.values():
            queue.clear()
        for batch in batches:
            batch.pop("action", None)
            self._stack_images(batch, kind)
            policy._queues = populate_queues(policy._queues, batch)
        actions = policy.predict_action_chunk(batches[-1])
        return actions.transpose(0, 1) if kind == "tdmpc" else actions  # tdmpc's is steps × batch × joints

    def _stack_images(self, batch: dict[str, Any], kind: str) -> None:
        import torch

        features = list(self.policy.config.image_features or {})
        if features and kind in _STACKED:
            batch[_STACKED[kind]] = torch.stack([batch[key] for key in features], dim=-4)
        elif features and kind == "tdmpc":
            batch["observation.image"] = batch[features[0]]


def _joined(values: list[Any]) -> Any:
    """One entry of several batches as that of one batch; what has no batch axis is alike in all of them."""
    import torch

    if isinstance(values[0], torch.Tensor):
        return torch.cat(values)
    if isinstance(values[0], list):
        return [item for value in values for item in value]
    return values[0]


class LeRobotPolicy:
    """One session of a LeRobot policy."""

    def __init__(self, model: LeRobotModel, pre: Any, post: Any) -> None:
        self._model, self._pre, self._post = model, pre, post
        self._policy = model.policy
        self._keys = {camera.name: camera.key for camera in model.manifest.cameras}
        coeff = model.manifest.temporal_ensemble_coeff
        self._ensemble = None if coeff is None else TemporalEnsemble(coeff, 1.0 / model.manifest.fps)
        self._prepare_ms = 0.0
        self.stage_ms: Mapping[str, float] = {}

    def reset(self) -> None:
        """Forget history: processors, queues where the policy has them, and the ensemble."""
        self._pre.reset()
        self._post.reset()
        if self._model.manifest.keeps_state:
            self._policy.reset()
        if self._ensemble is not None:
            self._ensemble.reset()

    def infer(self, history: Sequence[PolicyInput]) -> FloatArray:
        """One chunk. Raises PolicyFailed when the policy gives another shape than it declares."""
        prepared = self.prepare(history)
        started = time.perf_counter()
        (actions,) = self._model.compute([prepared])
        return self.finish(actions, history, network_ms=(time.perf_counter() - started) * 1e3)

    def prepare(self, history: Sequence[PolicyInput]) -> list[dict[str, Any]]:
        """The history through the checkpoint's own pre-processor; see protocol.BatchedPolicy."""
        import torch

        started = time.perf_counter()
        with torch.inference_mode():
            batches = [self._pre(self._observation(item)) for item in history]
        self._prepare_ms = (time.perf_counter() - started) * 1e3
        return batches

    def finish(self, raw: Any, history: Sequence[PolicyInput], *, network_ms: float) -> FloatArray:
        """The checkpoint's own post-processor and the ensemble; see protocol.BatchedPolicy."""
        import torch

        started = time.perf_counter()
        with torch.inference_mode():
            actions = self._post(raw)
        chunk = np.asarray(actions.detach().to("cpu", torch.float64).numpy())
        if chunk.ndim == 3:
            chunk = chunk[0]
        if chunk.ndim != 2 or chunk.shape[1] != len(self._model.manifest.joint_names):
            raise PolicyFailed(
                f"The policy answered with shape {chunk.shape} for {len(self._model.manifest.joint_names)} joints."
            )
        if self._ensemble is not None:
            chunk = self._ensemble.update(chunk, history[-1].time_s)
        finish_ms = (time.perf_counter() - started) * 1e3
        self.stage_ms = {"preprocess": self._prepare_ms, "network": network_ms, "postprocess": finish_ms}
        return chunk

    def _observation(self, item: PolicyInput) -> dict[str, Any]:
        """As lerobot.policies.utils.prepare_observation_for_inference makes it."""
        import torch

        found: dict[str, Any] = {
            self._keys[name]: (torch.from_numpy(np.array(frame)).type(torch.float32) / 255)
            .permute(2, 0, 1)
            .contiguous()
            .unsqueeze(0)
            .to(self._model.device)
            for name, frame in item.frames.items()
        }
        if item.state.size:
            state = torch.from_numpy(item.state.astype(np.float32)).unsqueeze(0)
            found[STATE] = state.to(self._model.device)
        return {**found, "task": item.task, "robot_type": ""}
