# SPDX-License-Identifier: Apache-2.0
"""docs/contract.md says what the code does: every key, term and limit, and its example is read."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from lerobot_arena.platform.catalog import contract, control_spec, onnx_metadata, safe_yaml, unitree_yaml
from lerobot_arena.platform.catalog.adapters import ADAPTERS
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.catalog.limits import rows
from lerobot_arena.platform.catalog.terms import PER_JOINT, TERMS

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()


def section(title: str) -> str:
    """From one heading to the next."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def keys(text: str) -> set[str]:
    """Of the first column of its tables."""
    cells = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([a-zA-Z_.]+)`", cell)}


@pytest.mark.parametrize("kind", contract.KINDS)
def test_every_key_of_a_contract_file_is_there(kind: str) -> None:
    shape = contract.KINDS[kind]
    assert keys(section(f"{kind}.yaml")) == {item.name for item in fields(shape)}
    rows_needed = [row for row in section(f"{kind}.yaml").splitlines() if "needed" in row]
    assert keys("\n".join(rows_needed)) - {"owner"} == set(shape.needs)


def test_the_example_of_a_policy_is_read() -> None:
    text = re.search(r"```yaml\n(.*?)```", section("policy.yaml"), re.DOTALL)
    assert text
    assert contract.read(text[1], "policy.yaml", most_bytes=10_000).slug == "php-parkour"


def test_every_key_of_the_metadata_is_there() -> None:
    text = section(f"Adapter `{ADAPTERS[0]}`")
    told = (keys(text) - {"config"}) | {"observation_history_lengths"}
    assert told == onnx_metadata.CONFIG_KEYS
    refused = [row for row in text.splitlines() if row.endswith("| refused |")]
    assert keys("\n".join(refused)) == set(onnx_metadata.REQUIRED)


def test_every_key_of_the_deploy_yaml_is_there() -> None:
    text = section(f"Adapter `{ADAPTERS[1]}`")
    for key in (*unitree_yaml.REQUIRED, *unitree_yaml.OURS):
        assert f"`{key}`" in text
    assert safe_yaml.load(
        "a: !!python/object/apply:builtins.slice [null, null, null]", "x", most_bytes=100
    ) == {"a": None}


def test_the_example_of_a_control_spec_is_read_and_complete() -> None:
    text = re.search(r"```json\n(.*?)```", section("ControlSpec"), re.DOTALL)
    assert text
    entry = json.loads(text[1])
    assert set(entry) == {item.name for item in fields(ControlSpec)}
    assert control_spec.from_json(entry).to_json() == entry


def test_every_term_is_there_with_its_width() -> None:
    table = section("ControlSpec")
    assert keys(table) == set(TERMS)
    for name, kind in TERMS.items():
        row = next(
            line for line in table.splitlines() if line.startswith("| ") and f"`{name}`" in line.split("|")[1]
        )
        assert row.split("|")[2].strip() == ("joints" if kind.width == PER_JOINT else str(kind.width))


def test_every_limit_is_there() -> None:
    for name, value in rows():
        assert f"| {name} | {value} |" in PAGE
