# SPDX-License-Identifier: Apache-2.0
"""What a policy folder says of itself alone, before any session: the facts a catalog shows. No torch.

What the folder does not tell stays None, and a session that uses it has to say it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.core.units import UNITS
from lerobot_arena.inference.checkpoint import TASK_TYPES
from lerobot_arena.inference.drafts import HOLD_FPS, Draft, read_draft
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.manifest import CameraInput, PolicyManifest


@dataclass(frozen=True, slots=True)
class PolicyDescription:
    """`joint_names`, `unit` and `fps` are None when the folder does not tell; sizes are pixels."""

    kind: str
    policy_type: str
    cameras: tuple[CameraInput, ...]
    chunk_size: int
    n_action_steps: int
    action_size: int
    joint_names: tuple[str, ...] | None
    unit: str | None
    fps: float | None
    takes_task: bool
    precision: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def describe_policy(path: str) -> PolicyDescription:
    """The description of the policy folder `path`, after the checks that a session of it will make.

    Reads JSON and tensor headers only. Raises PolicyError or InvalidInput, saying what to change.
    """
    draft = read_draft(path, "")
    asked = _asked(path, draft)
    manifest = _inspected(asked, draft)
    own = {source.partition(":")[0] for source in manifest.sources if not source.endswith(": session")}
    return PolicyDescription(
        kind=manifest.kind,
        policy_type=manifest.policy_type,
        cameras=manifest.cameras,
        chunk_size=manifest.chunk_size,
        n_action_steps=manifest.n_action_steps,
        action_size=len(manifest.joint_names),
        joint_names=manifest.joint_names if "joint_names" in own else None,
        unit=manifest.unit if "unit" in own else None,
        fps=manifest.fps if "fps" in own else None,
        takes_task=manifest.takes_task,
        precision=manifest.precision,
    )


def _asked(path: str, draft: Draft) -> SessionWanted:
    """A session that offers all the policy wants, and stands in for what only a session can tell."""
    info = draft.info
    names = draft.own.get("joint_names") or (info.joint_names if info else ())
    fps = draft.own.get("fps") or (info.fps if info else 0.0)
    if not names and not draft.action_size:
        raise PolicyError(
            "Nothing says how many joints its actions are for: give joint_names in manifest.json."
        )
    return SessionWanted(
        session_id="description",
        arm="description",
        policy_path=path,
        is_virtual=True,
        camera_names=tuple(camera.name for camera in draft.cameras),
        language_instruction="any" if draft.policy_type in TASK_TYPES else "",
        joint_names=() if names else tuple(f"joint_{index}" for index in range(1, draft.action_size + 1)),
        rate_hz=0.0 if fps else HOLD_FPS,
    )


def _inspected(asked: SessionWanted, draft: Draft) -> PolicyManifest:
    """Where the unit is unknown, any that the statistics allow will do."""
    if _said(draft.own, "unit"):
        return inspect_policy(asked.policy_path, wanted=asked, robot=None)
    refusal: PolicyError | None = None
    for unit in UNITS:
        try:
            return inspect_policy(asked.policy_path, wanted=replace(asked, unit=unit), robot=None)
        except PolicyError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _said(own: Mapping[str, Any], key: str) -> bool:
    return own.get(key) not in (None, "")
