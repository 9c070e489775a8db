# SPDX-License-Identifier: Apache-2.0
"""Whose eyes a recording is looked at with: the policy that ran, unless another is named."""

from dataclasses import replace

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.params import InferenceParams
from lerobot_arena.recording.moments import View, session_of
from lerobot_arena.recording.reader import Recording

DEFAULT_ROBOT = "so101"


def view_of(recording: Recording, *, policy: str = "", robot: str = "") -> View:
    """The view of the recorded session's policy, or of `policy` (a folder, `demo`) on the recorded arm.

    `robot` is a shipped robot or a robot file; by default the recorded one's name. Raises InvalidInput, PolicyError.
    """
    wanted = session_of(recording)
    if wanted is None and not policy:
        raise InvalidInput("The recording does not tell which policy ran: name one with --policy.")
    if wanted is None:
        wanted = SessionWanted("recorded", recording.arm, policy, camera_names=tuple(recording.cameras))
    if policy:
        wanted = replace(wanted, policy_path=policy, policy_type="", joint_names=(), unit="", rate_hz=0.0)
    found = None
    if not wanted.is_virtual:
        found = load_robot(robot or recording.metadata.get("robot", "") or DEFAULT_ROBOT)
    manifest = inspect_policy(wanted.policy_path, wanted=wanted, robot=found)
    return View(manifest, found, wanted, InferenceParams().sync_rules(is_virtual=wanted.is_virtual))
