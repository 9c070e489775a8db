# SPDX-License-Identifier: Apache-2.0
"""Every topic and service name, once. Relative parts are joined below the arm's namespace."""

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.ids import MAX_TOPIC_LENGTH, escape

WANTED = "/arena/wanted"
SESSIONS = "/arena/sessions"
GUARD_CONFIG = "/arena/guard_config"
DIAGNOSTICS = "/diagnostics"
MEDIA_REQUESTS = "/arena/media/requests"
MEDIA_EVENTS = "/arena/media/events"

JOINT_STATES = "joint_states"
ROBOT_DESCRIPTION = "robot_description"
COMMAND = "command"
CHUNK_REQUEST = "chunk_request"
ACTION_CHUNK = "action_chunk"
CYCLE = "dam/cycle"
CONTEXT_EVENTS = "dam/context_events"
GUARD_OBSERVATION = "dam/obs"
GUARD_ACTION = "dam/action"
GUARD_LAYERS = "dam"
GUARD_STATE = "guard/state"
GUARD_MARKERS = "guard/markers"
EMBODIMENT_STATUS = "embodiment/status"
TASK_STATUS = "task/status"
HARDWARE = "embodiment/hardware"

START = "guard/start"
PAUSE = "guard/pause"
RESUME = "guard/resume"
STOP = "guard/stop"
ESTOP = "guard/estop"
RESET = "guard/reset"
CLEAR_QUEUE = "guard/clear_queue"
EMERGENCY_STOP = "embodiment/emergency_stop"
CLEAR_EMERGENCY = "embodiment/clear_emergency"
RESET_SCENE = "embodiment/reset_scene"
REPEAT_SCENE = "embodiment/repeat_scene"
RECORDER_STATUS = "recorder/status"

GUARD_VERBS = {
    "start": START,
    "pause": PAUSE,
    "resume": RESUME,
    "stop": STOP,
    "estop": ESTOP,
    "reset": RESET,
    "clear_queue": CLEAR_QUEUE,
}
RECORDER_VERBS = {verb: f"recorder/{verb}" for verb in ("start", "stop", "split", "snapshot", "status")}


def on_arm(arm: str, name: str) -> str:
    """Absolute name of `name` below the arm's namespace."""
    return f"/{arm}/{name}"


VIRTUAL_ARMS = "virtual/"


def virtual_arm(session_id: str) -> str:
    """Namespace of the arm whose joints come from the session's clients."""
    return f"{VIRTUAL_ARMS}{escape(session_id)}"


def arm_in_words(arm: str) -> str:
    """An arm for a message that everybody reads: a virtual one's name is its owner's business."""
    return "a session's virtual arm" if arm.startswith(VIRTUAL_ARMS) else f"arm {arm!r}"


def camera(arm: str, camera_name: str) -> str:
    """Base topic of an arm's camera: Image on it, CompressedImage on `compressed(base)`."""
    return f"/{arm}/cameras/{escape(camera_name)}/image_raw"


def compressed(base: str) -> str:
    """Where the CompressedImage twin of an image topic is."""
    return f"{base}/compressed"


def images(camera_token: str) -> str:
    """Relative name under which a camera's pictures are recorded; `camera_token` is its escaped name."""
    return f"dam/images/{camera_token}"


def room(workspace_id: str, room_id: str) -> str:
    """Topic of a room. Raises InvalidInput when the ids are too long for a topic."""
    name = f"/rooms/{escape(workspace_id)}/{escape(room_id)}"
    if len(name) > MAX_TOPIC_LENGTH:
        raise InvalidInput(f"Workspace and room ids make a topic of {len(name)} characters; shorten them.")
    return name


def camera_room(session_id: str, camera_name: str) -> str:
    """Room id of a session's camera."""
    return f"{session_id}-{camera_name}"


def joint_input_room(session_id: str) -> str:
    """Room id of a session's measured joints."""
    return f"{session_id}-joint-input"


def joint_output_room(session_id: str) -> str:
    """Room id of a session's executed joints."""
    return f"{session_id}-joint-output"
