# SPDX-License-Identifier: Apache-2.0
"""A LeRobot robot's configuration file, made safe: cameras apart from the bus, torque kept on exit."""

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import InvalidInput

_NESTED_ARM = "_arm_config"
_TORQUE_FLAG = "disable_torque_on_disconnect"


def load_config(path: str, plugins: Iterable[str]) -> Any:
    """The lerobot.robots.RobotConfig described by a .json or .yaml file.

    Raises InvalidInput naming what LeRobot does not accept in it.
    """
    data = _read(path)
    try:
        _register(plugins)
        import draccus
        from lerobot.robots.config import RobotConfig
    except ImportError as error:
        raise InvalidInput(
            f"LeRobot is not usable here ({error}). Install it with `pip install 'lerobot_arena[lerobot]'`."
        ) from error
    known = sorted(RobotConfig.get_known_choices())
    if data.get("type") not in known:
        raise InvalidInput(
            f"{path}: LeRobot knows no robot type {data.get('type')!r}. Known: {', '.join(known)}."
        )
    try:
        return draccus.decode(RobotConfig, data)
    except (draccus.utils.DraccusException, TypeError, ValueError) as error:
        raise InvalidInput(f"{path}: LeRobot does not accept this as {data['type']}: {error}") from error


def _read(path: str) -> dict[str, Any]:
    if not path:
        raise InvalidInput(
            "No robot_config is set: make one with `arena robot add`, or name a .yaml file with LeRobot's "
            "`type`, `port`, `id` and `cameras`."
        )
    import yaml

    try:
        data = yaml.safe_load(Path(path).expanduser().read_text())  # JSON is YAML
    except OSError as error:
        raise InvalidInput(f"The robot configuration {path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"The robot configuration {path} is neither YAML nor JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"The robot configuration {path} must be a mapping with a `type`.")
    return data


def _register(plugins: Iterable[str]) -> None:
    """Import what registers robot and camera types: LeRobot's own, installed plugins, and the named modules."""
    import lerobot.cameras
    import lerobot.robots
    from lerobot.utils.import_utils import register_third_party_plugins

    for package in (lerobot.robots, lerobot.cameras):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.ispkg:
                importlib.import_module(module.name)
    register_third_party_plugins()
    for name in plugins:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InvalidInput(f"The plugin {name!r} cannot be imported: {error}.") from error


def _nested(config: Any) -> list[tuple[str, Any]]:
    """(prefix of its names, config) for the config itself and each arm inside."""
    found = [("", config)]
    for item in fields(config):
        value = getattr(config, item.name)
        if item.name.endswith(_NESTED_ARM) and is_dataclass(value):
            found.append((item.name.removesuffix(_NESTED_ARM) + "_", value))
    return found


def take_cameras(config: Any) -> dict[str, Any]:
    """Remove the cameras from a robot's config, and return them by the names its observations would have."""
    cameras: dict[str, Any] = {}
    for prefix, part in _nested(config):
        for name, camera in (getattr(part, "cameras", None) or {}).items():
            if hasattr(camera, "color_mode"):
                camera.color_mode = type(camera.color_mode)("rgb")
            cameras[prefix + name] = camera
        if hasattr(part, "cameras"):
            part.cameras = {}
    return cameras


def keep_torque(config: Any) -> bool:
    """Tell the robot to keep its torque when it is let go; False when its config has no such field."""
    parts = [part for _, part in _nested(config) if hasattr(part, _TORQUE_FLAG)]
    for part in parts:
        setattr(part, _TORQUE_FLAG, False)
    return bool(parts)
