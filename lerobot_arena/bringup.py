# SPDX-License-Identifier: Apache-2.0
"""The table of processes: what `arena up` and the launch files both start from, and the environment they start in.

It starts nothing itself. Imports neither ROS nor anything heavy, so that `ros2 launch` can read it.
"""

import json
import os
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

import lerobot_arena
from lerobot_arena.core.address import DEFAULT_PORT as DEFAULT_PORT
from lerobot_arena.core.address import HOST_VARIABLE as HOST_VARIABLE
from lerobot_arena.core.address import PORT_VARIABLE as PORT_VARIABLE
from lerobot_arena.core.address import url_from_here as url_from_here
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.ids import check_arm
from lerobot_arena.ros import dds

BACKENDS = ("mujoco", "lerobot", "topics")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
DEFAULT_ARM = "arm"
DEFAULT_ROBOT = "so101"
DEFAULT_FOXGLOVE_PORT = 8765
DATA_VARIABLE = "ARENA_DATA_DIR"

# LeRobot configures the motors whenever it connects, and nobody may be holding the arm when a process comes back.
_TORQUE_IS_CUT = {
    "lerobot": "connecting cuts the torque for a moment. Support the arm, then start everything again."
}

_EXECUTABLES = {"recording": "recorder", "rooms": "media"}

Value = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BringupOptions:
    """What a person chooses; `robot` is a shipped or added robot's name, or a robot file."""

    backend: str = "mujoco"
    arm: str = DEFAULT_ARM
    robot: str = DEFAULT_ROBOT
    robot_config: str = ""
    host: str = ""
    """Where the bridge listens; empty: ARENA_BRIDGE_HOST, else loopback."""
    port: int = DEFAULT_PORT
    seed: int | None = None
    policy_roots: tuple[str, ...] = ()
    params_file: str = ""
    log_level: str = "info"
    use_sim_time: bool = False
    record: bool = False
    foxglove: bool = False
    foxglove_port: int = DEFAULT_FOXGLOVE_PORT

    def __post_init__(self) -> None:
        check_arm(self.arm)
        for value, known, what in (
            (self.backend, BACKENDS, "robot backend"),
            (self.log_level, LOG_LEVELS, "log level"),
        ):
            if value not in known:
                raise InvalidInput(f"There is no {what} {value!r}: choose one of {', '.join(known)}.")
        for port in (self.port, self.foxglove_port):
            if not 1 <= port <= 65535:
                raise InvalidInput(f"Port {port} is not a port: choose 1 to 65535.")
        if any(char.isspace() or char in "/@[]" for char in self.host):
            raise InvalidInput(
                f"{self.host!r} is not an address to listen on: name one, such as 192.168.1.5."
            )
        if self.foxglove and self.foxglove_port == self.port:
            raise InvalidInput(f"Foxglove and the bridge cannot both listen on port {self.port}.")
        if self.params_file and not Path(self.params_file).is_file():
            raise InvalidInput(f"The parameter file {self.params_file} does not exist.")


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process. Higher ranks are stopped first, so that nothing commands an arm whose driver has gone.

    It is started again when it ends, unless `no_restart_because` says why not.
    """

    name: str
    area: str
    rank: int
    namespace: str
    params: Mapping[str, Value] = field(default_factory=dict)
    no_restart_because: str = ""

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"lerobot_arena.{self.area}.node"

    @property
    def executable(self) -> str:
        """What `ros2 run lerobot_arena` runs."""
        return f"{_EXECUTABLES.get(self.area, self.area)}_node"

    def ros_arguments(self, options: BringupOptions) -> list[str]:
        """The `--ros-args …` of this process; parameters of the table win over the parameter file."""
        arguments = ["--ros-args", "-r", f"__ns:=/{self.namespace}", "-r", f"__node:={self.name}"]
        if options.params_file:
            arguments += ["--params-file", options.params_file]
        for key, value in {**self.params, "use_sim_time": options.use_sim_time}.items():
            arguments += ["-p", f"{key}:={_yaml(value)}"]
        return [*arguments, "--log-level", options.log_level]

    def command(self, options: BringupOptions, *, python: str = sys.executable) -> list[str]:
        """The whole command line. -P: a file in the current folder must not stand in for a module."""
        return [python, "-P", "-u", "-m", self.module, *self.ros_arguments(options)]


def _yaml(value: Value) -> str:
    """A parameter value as YAML; a quoted string stays a string even when it looks like a number."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def process_table(options: BringupOptions) -> tuple[ProcessSpec, ...]:
    """Every process of one arm, in order of start."""
    robot = {"robot": options.robot}
    driver: dict[str, Value] = {"backend": options.backend, **robot}
    if options.robot_config:
        driver["robot_config"] = options.robot_config
    if options.seed is not None:
        driver["seed"] = options.seed
    bridge: dict[str, Value] = {"port": options.port}
    if options.host:
        bridge["host"] = options.host
    if options.policy_roots:
        bridge["policy_roots"] = options.policy_roots
    # Who reaches the bridge reaches the media as well, and those on this machine still do by loopback.
    media: dict[str, Value] = {"ice_addresses": ("127.0.0.1", options.host)} if options.host else {}
    recorder: dict[str, Value] = {**robot, "record_on_start": options.record}
    inspection: dict[str, Value] = {**robot, "port": options.foxglove_port}
    foxglove = ProcessSpec("foxglove", "inspection", 3, "arena", inspection)
    return (
        ProcessSpec(
            "embodiment", "embodiment", 0, options.arm, driver, _TORQUE_IS_CUT.get(options.backend, "")
        ),
        ProcessSpec("guard", "guard", 1, options.arm, robot),
        ProcessSpec("guard_rooms", "guard", 1, "virtual", {**robot, "virtual": True}),
        ProcessSpec("inference", "inference", 2, "arena", robot),
        ProcessSpec("recorder", "recording", 2, options.arm, recorder),
        ProcessSpec("media", "rooms", 2, "arena", media),
        ProcessSpec("bridge", "bridge", 3, "arena", bridge),
        *((foxglove,) if options.foxglove else ()),
    )


def data_folder(environment: Mapping[str, str]) -> Path:
    """Where everything that outlives a run is kept: ARENA_DATA_DIR, else ~/.local/share/lerobot_arena."""
    chosen = environment.get(DATA_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "lerobot_arena"


def find_robot(reference: str, data_dir: Path) -> str:
    """A robot that `arena robot add` wrote, as its file's path; anything else unchanged."""
    added = data_dir / "robots" / f"{reference}.yaml"
    return str(added) if "/" not in reference and added.is_file() else reference


def prepare_environment(
    environment: MutableMapping[str, str], *, processes: int, kind: str = dds.LOCAL
) -> dds.Profile:
    """Make `environment` the one every process starts in: paths and DDS profile.

    Removes dead processes' shared memory. Raises Unavailable, with the remedy, when /dev/shm is too small.
    """
    prepare_paths(environment)
    return dds.prepare(environment, kind, processes=processes)


def prepare_paths(environment: MutableMapping[str, str]) -> None:
    """Set the data folder, the ament index and the import path."""
    environment[DATA_VARIABLE] = str(data_folder(environment))
    # The PyPI wheels, and colcon's setup files in a venv, leave the prefix of this Python out.
    _append(environment, "AMENT_PREFIX_PATH", sys.prefix)
    root = Path(lerobot_arena.__file__).resolve().parents[1]
    if root.name not in {"site-packages", "dist-packages"}:
        _append(environment, "PYTHONPATH", str(root))


def _append(environment: MutableMapping[str, str], name: str, entry: str) -> None:
    entries = [part for part in environment.get(name, "").split(os.pathsep) if part]
    if entry not in entries:
        environment[name] = os.pathsep.join([*entries, entry])
