# SPDX-License-Identifier: Apache-2.0
"""robot_description: the SO-101's URDF from so101-nexus with mesh paths that resolve, or the operator's own file.

Its joints have the zero and direction of the Menagerie model that is simulated (a test compares both).
"""

import importlib.util
from pathlib import Path

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.embodiment.simulated_frames import camera_mounts, link_text

_FAMILY = "so10"
_RELATIVE = 'filename="assets/'


def robot_description(robot: RobotSpec, urdf: str = "", *, is_simulated: bool) -> str:
    """URDF text; empty when none fits. In the simulator it also has the cameras' optical frames.

    Raises InvalidInput when `urdf` names a file that is not one.
    """
    if urdf:
        return _read(Path(urdf).expanduser())
    if is_simulated:
        links = "".join(link_text(mount) for mount in camera_mounts(robot))
        return so101_urdf().replace("</robot>", f"{links}</robot>")
    return so101_urdf() if robot.name.startswith(_FAMILY) else ""


def so101_urdf() -> str:
    """The shipped SO-101 URDF with absolute mesh paths; empty when so101-nexus is not installed."""
    spec = importlib.util.find_spec("so101_nexus")
    if spec is None or spec.origin is None:
        return ""
    folder = Path(spec.origin).parent / "assets" / "SO101"
    text = (folder / "so101_new_calib.urdf").read_text()
    return text.replace(_RELATIVE, f'filename="{folder.as_uri()}/assets/')


def _read(path: Path) -> str:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The URDF {path} cannot be read: {error}.") from error
    if "<robot" not in text:
        raise InvalidInput(f"{path} is not a URDF: it has no <robot>.")
    return text
