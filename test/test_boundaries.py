# SPDX-License-Identifier: Apache-2.0
"""The arrows of ARCHITECTURE.md, executable. Needs no ROS, no torch, no network."""

import ast
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "lerobot_arena"
ROS = {"rclpy", "rosbag2_py", "ament_index_python", "launch", "launch_ros", "std_srvs", "builtin_interfaces"}
HEAVY = {
    "aiortc",
    "av",
    "argon2",
    "torch",
    "lerobot",
    "onnx",
    "onnxruntime",
    "mujoco",
    "trimesh",
    "cv2",
    "yaml",
    "so101_nexus",
    "huggingface_hub",
}
WEB = {"fastapi", "starlette", "uvicorn"}
AREAS = {
    "core": set(),
    "ros": {"core"},
    "embodiment": {"core"},
    "inference": {"core"},
    "guard": {"core"},
    "rooms": {"core"},
    "recording": {"core", "inference", "guard"},
    "platform": {"core", "embodiment", "inference"},
    "bridge": {"core", "rooms", "inference", "guard", "recording", "platform", "client"},
    "client": {"core"},
    "inspection": {"core", "guard", "recording"},
    "bringup": {"core", "ros"},
    "cli": {
        "core",
        "ros",
        "bringup",
        "inference",
        "embodiment",
        "platform",
        "guard",
        "bridge",
        "recording",
        "client",
    },
    "testing": {
        "core",
        "bridge",
        "embodiment",
        "inference",
        "guard",
        "recording",
        "rooms",
        "client",
        "platform",
    },
}
# What an area may use of another, where it is less than the whole.
_GUARD = "lerobot_arena.guard"
NARROWED: dict[tuple[str, str], tuple[str, ...]] = {
    ("platform", "embodiment"): ("lerobot_arena.embodiment.simulation",),
    ("cli", "platform"): (
        "lerobot_arena.platform.training", "lerobot_arena.platform.accounts", "lerobot_arena.platform.storage",
        "lerobot_arena.platform.catalog.", "lerobot_arena.platform.arena.",
    ),
    ("bridge", "platform"): tuple(
        f"lerobot_arena.platform.{name}."
        for name in ("accounts", "storage", "arena", "catalog", "deployments", "datasets")
    ),
    ("testing", "platform"): ("lerobot_arena.platform.accounts", "lerobot_arena.platform.storage"),
    ("cli", "ros"): ("lerobot_arena.ros.dds",),
    ("bringup", "ros"): ("lerobot_arena.ros.dds",),
    # What a boundary and a task may say; not how the guard works.
    ("bridge", "guard"): (
        f"{_GUARD}.boundary.", f"{_GUARD}.task.", f"{_GUARD}.shipped.", f"{_GUARD}.tightening.",
        f"{_GUARD}.checks.table.", f"{_GUARD}.verify.",
    ),
    # What `arena guard verify` reads and tries.
    ("cli", "guard"): (
        f"{_GUARD}.boundary.", f"{_GUARD}.task.", f"{_GUARD}.shipped.", f"{_GUARD}.params.", f"{_GUARD}.verify.",
    ),
    ("cli", "bridge"): ("lerobot_arena.bridge.fault_rows",),
    # What a message type is, and what a boundary says: to offer topics, and to draw.
    ("inspection", "recording"): ("lerobot_arena.recording.schemas.",),
    ("inspection", "guard"): (f"{_GUARD}.boundary.", f"{_GUARD}.shipped.", f"{_GUARD}.checks.table."),
}  # fmt: skip
# A recording is played to a live session's own eyes, and to a guard in memory.
NARROWED["recording", "inference"] = tuple(
    f"lerobot_arena.inference.{name}."
    for name in ("inspect", "joints", "manifest", "params", "policies.protocol", "session", "sync")
)
NARROWED["recording", "guard"] = tuple(
    f"{_GUARD}.{name}." for name in ("chunk_queue", "pacing", "params", "verify.subject", "verify.world")
)
# A node may keep its topics and services in a file of their own.
RIM = {"node.py", "edge.py"}
# A test's own ends of topics.
RIGS = {ROOT / "testing" / name for name in ("probe.py", "guard_rig.py", "embodiment_rig.py")}
GENERATED = ROOT / "msg"
FILES = [path for path in sorted(ROOT.rglob("*.py")) if GENERATED not in path.parents]


def imported(tree: ast.AST, *, everywhere: bool) -> Iterator[str]:
    """Full names imported at module level, or anywhere. Function bodies are how heavy parts are allowed in."""
    for node in ast.walk(tree) if everywhere else ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and not everywhere:
            yield from imported(node, everywhere=False)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_type_checking_only(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            names |= set(imported(node, everywhere=True))
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_arrows(path: Path) -> None:
    tree = ast.parse(path.read_text())
    area = path.relative_to(ROOT).parts[0].removesuffix(".py")
    rim = path.name in RIM or path in RIGS or area == "ros"
    for name in imported(tree, everywhere=True):
        top, *rest = name.split(".")
        if top == "lerobot_arena" and rest and rest[0] in {"msg", "srv", "action"}:
            assert path == ROOT / "ros/convert.py", f"{name}: only ros/convert.py imports messages"
        elif top == "lerobot_arena" and rest and rest[0] != "__version__":
            allowed = {area, *AREAS[area]} | ({"ros"} if rim else set())
            assert rest[0] in allowed, f"{area} must not import {name}"
            narrow = None if rim else NARROWED.get((area, rest[0]))
            assert narrow is None or name.startswith(narrow), f"{area} may import only {narrow}, not {name}"
            assert area == rest[0] or not {"node", "edge"} & set(rest[1:2]), f"nobody imports a node: {name}"
        elif top.endswith("_msgs") or top in {"std_srvs", "rcl_interfaces", "builtin_interfaces"}:
            assert path in {ROOT / "ros/convert.py", ROOT / "ros/declare.py"}, (
                f"{name}: a message outside the rim"
            )
        assert rim or top not in ROS, f"{name}: ROS outside the rim"
        assert area in {"bridge", "testing"} or top not in WEB, f"{name}: web outside bridge/"
    for name in set(imported(tree, everywhere=False)) - is_type_checking_only(tree):
        assert name.split(".")[0] not in HEAVY, f"{name}: import it inside the function that needs it"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n"), "the licence line is missing"
    assert len(text.splitlines()) <= 400, "split the module by responsibility"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines; 60 is the wall"


def test_every_area_is_in_the_table() -> None:
    found = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES} - {"__init__"}
    assert found <= set(AREAS), f"add {found - set(AREAS)} to the table here and in ARCHITECTURE.md"


def test_no_file_unpickles_or_loads_yaml_unsafely() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                call = ast.unparse(node.func)
                assert call not in {"yaml.load", "torch.load", "pickle.load", "pickle.loads"}, (
                    f"{path.name}: {call}"
                )


def test_the_core_needs_neither_ros_nor_torch_nor_web() -> None:
    """A real interpreter in which those imports fail still imports every module of the core."""
    modules = [f"lerobot_arena.core.{path.stem}" for path in (ROOT / "core").glob("*.py")]
    program = textwrap.dedent(
        f"""
        import sys
        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {ROS | HEAVY | WEB}:
                    raise ImportError(name + " is blocked")
        sys.meta_path.insert(0, Blocked())
        import importlib
        for name in {modules}:
            importlib.import_module(name)
        """
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT.parent, timeout=60)
