# SPDX-License-Identifier: Apache-2.0
"""The shipped Foxglove layouts: complete, and every path leads to a field that its message has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.core import topics
from lerobot_arena.core.share import share_folder

FOLDER = share_folder() / "config" / "foxglove"
FILES = sorted(FOLDER.glob("*.json"))
PANELS = {
    "3D", "CallService", "Image", "Indicator", "Plot", "RawMessages", "StateTransitions", "Table",
}  # fmt: skip
OWN = "lerobot_arena/msg"
TYPES = {
    topics.CYCLE: f"{OWN}/Cycle",
    topics.CONTEXT_EVENTS: f"{OWN}/ContextEvent",
    topics.GUARD_OBSERVATION: f"{OWN}/GuardObservation",
    topics.GUARD_STATE: f"{OWN}/GuardState",
    topics.GUARD_MARKERS: "visualization_msgs/msg/MarkerArray",
    topics.ROBOT_DESCRIPTION: "std_msgs/msg/String",
}
PICTURES = {
    *(topics.camera("arm", name) for name in ("front", "wrist")),
    *(topics.on_arm("arm", topics.images(name)) for name in ("front", "wrist")),
}
VERBS = {
    topics.on_arm("arm", name) for name in (*topics.GUARD_VERBS.values(), *topics.RECORDER_VERBS.values())
}
_PATH = re.compile(r"(/arm/[a-zA-Z0-9_/]+)((?:\.[a-z0-9_]+|\[[0-9:]*\]|\{[^}]*\})*)")


def leaves(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    else:
        assert tree["direction"] in {"row", "column"} and 0 < tree["splitPercentage"] < 100
        yield from leaves(tree["first"])
        yield from leaves(tree["second"])


def panels(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, config in json.loads(file.read_text())["configById"].items():
        yield name.partition("!")[0], config


def paths(file: Path) -> Iterator[str]:
    for _, config in panels(file):
        yield from filter(None, (config.get("topicPath"), config.get("path")))
        yield from (series["value"] for series in config.get("paths", []))
        yield from config.get("topics", {})


def test_the_three_layouts_are_there() -> None:
    assert [file.stem for file in FILES] == ["guard_review", "live", "session_review"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_has_its_place_and_its_configuration(file: Path) -> None:
    data = json.loads(file.read_text())
    shown = list(leaves(data["layout"]))
    assert sorted(shown) == sorted(data["configById"]) and len(set(shown)) == len(shown)
    assert {name.partition("!")[0] for name in shown} <= PANELS
    assert data.keys() >= {"globalVariables", "userNodes", "playbackConfig"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_cameras_and_services_are_ours(file: Path) -> None:
    for kind, config in panels(file):
        if kind == "Image":
            assert config["imageMode"]["imageTopic"] in PICTURES
        if kind == "CallService":
            assert config["serviceName"] in VERBS and json.loads(config["requestPayload"]) == {}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_know_what_they_are_told(file: Path) -> None:
    """Field names are those of foxglove-sdk's layout classes, which Foxglove generates from the application."""
    import foxglove.layouts as known

    classes = {
        "3D": known.ThreeDeeConfig, "CallService": known.ServiceCallConfig, "Image": known.ImageConfig,
        "Indicator": known.IndicatorConfig, "Plot": known.PlotConfig, "RawMessages": known.RawMessagesConfig,
        "StateTransitions": known.StateTransitionsConfig, "Table": known.TableConfig,
    }  # fmt: skip
    series = {"Plot": known.PlotSeries, "StateTransitions": known.StateTransitionsSeries}
    for kind, config in panels(file):
        assert config.keys() - {"foxglovePanelTitle"} <= classes[kind]()._to_dict().keys(), kind
        for item in config.get("paths", []):
            assert item.keys() <= series[kind]()._to_dict().keys()


@pytest.mark.ros
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_path_leads_to_a_field(file: Path) -> None:
    found = list(paths(file))
    assert found
    for path in found:
        match = _PATH.fullmatch(path)
        assert match is not None, path
        type_name = TYPES[match[1].removeprefix("/arm/")]
        for name in re.findall(r"\.([a-z0-9_]+)|\{([a-z0-9_]+)", match[2]):
            type_name = step(type_name, name, path)


def step(type_name: str, name: tuple[str, str], path: str) -> str:
    from lerobot_arena.ros.message_types import message_class

    fields = message_class(type_name).get_fields_and_field_types()
    field, condition = name
    assert (field or condition) in fields, f"{path}: {type_name} has no {field or condition}"
    if condition:
        return type_name
    inner = re.sub(r"^sequence<(.*)>$", r"\1", fields[field])
    return inner.replace("/", "/msg/") if "/" in inner else inner
