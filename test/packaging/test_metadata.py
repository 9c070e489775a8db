# SPDX-License-Identifier: Apache-2.0
"""What setup.py, pyproject.toml and package.xml say is true of the tree and of each other."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest

import lerobot_arena

_ROOT = Path(lerobot_arena.__file__).resolve().parent.parent
_PACKAGE = _ROOT / "lerobot_arena"

pytestmark = pytest.mark.skipif(not (_ROOT / "setup.py").is_file(), reason="installed without its sources")


@pytest.fixture(scope="module")
def setup_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("arena_setup", _ROOT / "setup.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=;! ]", requirement, maxsplit=1)[0].lower()


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--", *patterns], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [_ROOT / line for line in listed.stdout.splitlines()]


def test_build_isolation_gets_what_an_installation_without_it_needs(setup_module: ModuleType) -> None:
    pyproject = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    isolated = {_name(line) for line in pyproject["build-system"]["requires"]}
    assert isolated >= {_name(line) for line in setup_module.EXTRAS["ros-build"]}


def test_the_demo_does_not_ask_for_torch(setup_module: ModuleType) -> None:
    wanted = {_name(line) for line in setup_module.RUN_TIME + setup_module.EXTRAS["demo"]}
    assert wanted.isdisjoint({"torch", "torchvision", "lerobot", "onnx"})


def test_colcon_finds_pytest(setup_module: ModuleType) -> None:
    assert "pytest" in {_name(line) for line in setup_module.EXTRAS["test"]}


def test_the_version_is_written_once() -> None:
    assert ElementTree.parse(_ROOT / "package.xml").getroot().findtext("version") == lerobot_arena.__version__


def test_every_console_script_is_there(setup_module: ModuleType) -> None:
    for line in setup_module.CONSOLE_SCRIPTS:
        module, function = line.split(" = ")[1].split(":")
        source = _ROOT / (module.replace(".", "/") + ".py")
        names = {
            node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)
        }
        assert function in names, line


def test_every_folder_with_modules_is_a_package() -> None:
    for path in _tracked("lerobot_arena/**/*.py"):
        folder = path.parent
        if folder.name != "versions":  # alembic runs these by path
            assert (folder / "__init__.py").is_file(), f"{folder} would not be installed"


def test_every_file_that_is_not_python_is_shipped(setup_module: ModuleType) -> None:
    patterns = setup_module.PACKAGE_DATA["lerobot_arena"]
    shipped = {path for pattern in patterns for path in _PACKAGE.glob(pattern)}
    data = [path for path in _tracked("lerobot_arena") if path.suffix != ".py" and path.is_file()]
    assert data
    assert [path for path in data if path not in shipped] == []


def test_launch_and_config_are_shipped(setup_module: ModuleType) -> None:
    shipped = {name for _, names in setup_module._data_files() for name in names}
    wanted = {str(path.relative_to(_ROOT)) for path in _tracked("launch", "config") if path.is_file()}
    assert wanted <= shipped
    assert all(Path(_ROOT, name).is_file() for name in shipped)


def test_unknown_extras_are_refused_by_name() -> None:
    script = _ROOT / "scripts" / "list_requirements.py"
    asked = subprocess.run(
        [sys.executable, str(script), "nonsense"], capture_output=True, text=True, check=False
    )
    assert asked.returncode != 0 and "nonsense" in asked.stderr
