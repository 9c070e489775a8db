# SPDX-License-Identifier: Apache-2.0
"""What a session's policy is and whether it fits, decided from files alone: no torch, milliseconds.

What a checkpoint lacks (joint names, unit, fps) comes from the session's optional fields, else the manifest beside the
weights, else its local dataset's info, else the robot file. What none of them tells is refused, naming the field.
"""

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.core.units import NORMALIZED, RADIANS, check_unit
from lerobot_arena.inference import checks
from lerobot_arena.inference.checkpoint import TASK_TYPES
from lerobot_arena.inference.dataset_info import bare_name
from lerobot_arena.inference.drafts import HOLD, HOLD_FPS, REPLAY, Draft, mapping_or_empty, read_draft
from lerobot_arena.inference.manifest import FILE_NAME, PolicyManifest
from lerobot_arena.inference.scores.ood import described


def inspect_policy(path: str, *, wanted: SessionWanted, robot: RobotSpec | None) -> PolicyManifest:
    """The manifest of the policy at `path`, checked against the session and the robot it is to drive.

    `path` is `demo`, a folder (LeRobot checkpoint or export), `hold`, or `replay:` and a file. `robot` is None for a
    virtual arm. Reads JSON and tensor headers only. Raises PolicyError or InvalidInput, saying what to change.
    """
    draft = read_draft(path, wanted.policy_type)
    asked = wanted.policy_type
    if asked and asked not in (draft.policy_type, draft.kind):
        raise PolicyError(f"The session asks for policy_type {asked!r}, but {path} is {draft.policy_type!r}.")
    sources: list[str] = []
    names = _joint_names(draft, wanted, robot, sources)
    unit = _unit(draft, wanted, robot, sources)
    fps = _fps(draft, wanted, sources)
    names = checks.joint_names_on(robot, names)
    checks.check_unit_on(robot, unit)
    checks.check_unit_fits(unit, draft.stats, names)
    checks.check_cameras(draft.cameras, wanted.camera_names, robot)
    takes_task = draft.policy_type in TASK_TYPES
    checks.check_task(takes_task, wanted.language_instruction, draft.policy_type)
    extra = [name for name in wanted.camera_names if name not in {c.name for c in draft.cameras}]
    sources += [f"camera {name}: not used by the policy" for name in extra]
    sources += filter(None, [described(draft.kind, draft.folder)])
    return PolicyManifest(
        kind=draft.kind,
        policy_type=draft.policy_type,
        path=str(draft.folder),
        joint_names=names,
        unit=unit,
        fps=fps,
        cameras=draft.cameras,
        state_names=_state_names(draft, names),
        chunk_size=draft.chunk_size,
        n_action_steps=min(draft.n_action_steps, draft.chunk_size),
        n_obs_steps=draft.n_obs_steps,
        temporal_ensemble_coeff=draft.temporal_ensemble_coeff,
        keeps_state=draft.keeps_state,
        takes_task=takes_task,
        weights=draft.weights,
        sha256=str(draft.own.get("sha256", "")),
        precision=str(draft.own.get("precision", "float32")),
        sources=tuple(sources),
        training=mapping_or_empty(draft.own.get("training")),
    )


def _joint_names(
    draft: Draft, wanted: SessionWanted, robot: RobotSpec | None, sources: list[str]
) -> tuple[str, ...]:
    choices = (
        ("session", wanted.joint_names),
        ("manifest", draft.own.get("joint_names")),
        ("dataset", draft.info.joint_names if draft.info else None),
        ("robot file", robot.joint_names if robot else None),
    )
    for source, names in choices:
        if not names:
            continue
        found = tuple(bare_name(name) for name in names)
        if draft.action_size and len(found) != draft.action_size:
            if source == "robot file":
                break  # the robot cannot tell; the message below can
            raise PolicyError(
                f"The {source} names {len(found)} joints ({', '.join(found)}), but the policy has {draft.action_size} "
                "actions. Correct joint_names."
            )
        sources.append(f"joint_names: {source}")
        return checks.distinct(found)
    raise PolicyError(
        f"Nothing says which joints the policy's {draft.action_size or 'unknown number of'} actions are for: set "
        f"joint_names in the session or in {FILE_NAME}."
    )


def _unit(draft: Draft, wanted: SessionWanted, robot: RobotSpec | None, sources: list[str]) -> str:
    for source, unit in (("session", wanted.unit), ("manifest", draft.own.get("unit"))):
        if unit:
            sources.append(f"unit: {source}")
            return check_unit(str(unit))
    if draft.kind in (HOLD, REPLAY):  # holding means the same in every unit
        sources.append(f"unit: default of {draft.kind}")
        return RADIANS if robot is not None else NORMALIZED
    raise PolicyError(
        "Nothing says which unit the policy was trained in: set unit to normalized (-100..100), degrees or radians "
        f"in the session or in {FILE_NAME}."
    )


def _fps(draft: Draft, wanted: SessionWanted, sources: list[str]) -> float:
    choices = (
        ("session", wanted.rate_hz),
        ("manifest", draft.own.get("fps")),
        ("dataset", draft.info.fps if draft.info else None),
        (f"default of {draft.kind}", HOLD_FPS if draft.kind in (HOLD, REPLAY) else None),
    )
    for source, fps in choices:
        if fps:
            if not 0.5 <= fps <= 240.0:
                raise PolicyError(f"The {source} gives {fps} steps a second; 0.5 to 240 are possible.")
            sources.append(f"fps: {source}")
            return float(fps)
    raise PolicyError(
        "Nothing says how many steps a second the policy was trained at: set rate_hz in the session or fps in "
        f"{FILE_NAME}."
    )


def _state_names(draft: Draft, names: tuple[str, ...]) -> tuple[str, ...]:
    """Order of the state's values: as its own source says, under the actions' names, else as the actions."""
    if not draft.has_state:
        return ()
    info = draft.info
    said = draft.own.get("state_names") or (info.state_names if info else ())
    actions = draft.own.get("joint_names") or (info.joint_names if info else ())
    # Session and robot may call the same joints otherwise: position by position in the actions' list.
    called = {bare_name(old): new for old, new in zip(actions, names)} if len(actions) == len(names) else {}
    found = tuple(called.get(bare_name(name), bare_name(name)) for name in said) or names
    if (draft.state_size or len(found)) != len(found):
        found = names
    if (draft.state_size or len(found)) != len(found) or set(found) != set(names):
        raise PolicyError(
            f"The policy's state has {draft.state_size or len(found)} values ({', '.join(found)}) for the joints "
            f"{', '.join(names)}: only one position per joint can be delivered."
        )
    return found
