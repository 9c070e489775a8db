# SPDX-License-Identifier: Apache-2.0
"""Every call of the client against the real app, of both kinds; and the table of calls against the app's own."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.client import Arena, AsyncArena
from lerobot_arena.client.call import Call
from lerobot_arena.client.endpoint import Group, endpoint
from lerobot_arena.client.records import RecordedFrame
from lerobot_arena.core.verdict import Decision
from lerobot_arena.platform.catalog.item import POLICY, ROBOT, SCENE, Item
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.testing import client_calls
from lerobot_arena.testing.catalog_files import cart_policy, glb_bytes, robot_zip, triangle_document
from lerobot_arena.testing.client_calls import Step, problem
from lerobot_arena.testing.live_bridge import LiveBridge
from lerobot_arena.testing.recordings import SESSION_ID, write_session

P, C, R, _ = Decision
PASSWORD = "the first password"


def endpoints() -> Iterator[tuple[str, Callable[..., Call[Any]]]]:
    """Dotted name → the function that makes the call."""
    arena = Arena("http://127.0.0.1:9")
    groups = {"": arena, **{name: part for name, part in vars(arena).items() if isinstance(part, Group)}}
    groups["telemetry"] = arena.telemetry
    for group, part in groups.items():
        if group == "_via":
            continue
        for name, member in inspect.getmembers_static(type(part)):
            if isinstance(member, endpoint):
                yield f"{group}.{name}".lstrip("."), member.build


ENDPOINTS = dict(endpoints())


def played(asker: Any, steps: tuple[Step, ...], names: dict[str, str] | None = None) -> dict[str, Any]:
    """Ask them all in order; the last value of each."""
    values: dict[str, Any] = {}
    for step in steps:
        args = [part.format(**names) if names and isinstance(part, str) else part for part in step.args]
        if step.error is not None:
            with pytest.raises(step.error) as caught:
                asker(step.name, *args, **step.kwargs)
            assert len(str(caught.value)) > 10
            continue
        values[step.name] = value = asker(step.name, *args, **step.kwargs)
        assert problem(step, value) == "", value
    return values


def test_every_call_has_a_step() -> None:
    assert {step.name for step in client_calls.ALL} | {"auth.log_out"} == set(ENDPOINTS)


def test_an_arm_is_run_from_the_client(asker: Any, bridge: LiveBridge) -> None:
    values = played(asker, client_calls.ON_AN_ARM)
    assert values["boundaries.checks"] and isinstance(values["debug.logs"], list)
    verbs = [verb for _, verb in bridge.fake.calls if verb in {"start", "pause", "resume", "estop", "reset"}]
    # Each once: three starts (the session's, the task's, the restart's), and what was refused never left the bridge.
    assert verbs == ["start", "pause", "resume", "start", "estop", "reset", "estop", "reset", "start"]


def test_rooms_are_made_from_the_client(asker: Any) -> None:
    played(asker, client_calls.IN_ROOMS)


def test_recordings_are_read_from_the_client(asker: Any, data_dir: Path) -> None:
    write_session(data_dir / "recordings", [P] * 10 + [C] * 20 + [R] + [P] * 30, files=2)
    file = SESSION_ID.replace("sess_", "session_") + ".mcap"
    values = played(asker, client_calls.OF_RECORDINGS, {"recording": SESSION_ID, "file": file})
    frame = values["recordings.frame"]
    assert isinstance(frame, RecordedFrame) and frame.jpeg.startswith(b"\xff\xd8") and frame.log_time > 1e9
    assert values["recordings.cycles"]["count"] == 5


def test_accounts_are_kept_from_the_client(asker: Any, bridge: LiveBridge) -> None:
    bridge.services.accounts.users.create("rosa", PASSWORD, role="admin")
    login = asker("login", "rosa", PASSWORD)
    assert login["token_type"] == "bearer"
    played(asker, client_calls.AS_AN_ADMIN)
    # A changed password ends the login, and so does a logout.
    asker("login", "rosa", "the second password")
    asker("logout")
    assert asker("auth.me")["via"] == "local"


def put_two_policies(shelf: Shelf) -> None:
    """On one robot, in one scene, so that they can be compared; without files."""
    shelf.put(Item(kind=ROBOT, owner="lab", slug="pony", title="Pony"))
    shelf.put(Item(kind=SCENE, owner="lab", slug="park", title="Park"))
    facts = {"defaultRobotRef": "lab/pony", "defaultSceneRef": "lab/park", "controlSpec": {"version": 1}}
    for slug in ("trot", "walk"):
        shelf.put(Item(kind=POLICY, owner="lab", slug=slug, title=slug.title(), facts=facts))


def test_things_are_published_and_compared_from_the_client(
    asker: Any, bridge: LiveBridge, tmp_path: Path
) -> None:
    bridge.services.accounts.users.create("rosa", PASSWORD, role="admin")
    asker("login", "rosa", PASSWORD)
    put_two_policies(bridge.services.published.shelf)
    files = {"glb": glb_bytes(*triangle_document()), "robot": robot_zip(), "policy": cart_policy()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    values = played(asker, client_calls.OF_THE_CATALOG, {name: str(tmp_path / name) for name in files})
    assert [item["ref"] for item in values["catalog.list"]] == ["lab/trot"]
    sent = []
    asker(
        "publish.robot",
        tmp_path / "robot",
        slug="cart",
        title="Cart",
        robot_key="lab/cart",
        on_progress=lambda count, total: sent.append((count, total)),
    )
    assert sent[-1] == (len(files["robot"]), len(files["robot"]))
    trials = asker("leaderboard.download", tmp_path / "trials.jsonl")
    assert {json.loads(line)["policy"] for line in trials.read_text().splitlines()} == {
        "lab/trot",
        "lab/walk",
    }


def test_every_call_is_a_route_of_the_app(bridge: LiveBridge) -> None:
    routes = bridge.app.openapi()["paths"]
    templates = [(re.sub(r"\{[^}]+\}", "[^/]+", path), path) for path in routes]
    for step in client_calls.ALL:
        args = [part.strip("{}") if isinstance(part, str) else part for part in step.args]
        call = ENDPOINTS[step.name](*args, **step.kwargs)
        found = [path for pattern, path in templates if re.fullmatch(pattern, call.path)]
        assert any(call.method.lower() in routes[path] for path in found), (
            f"{step.name}: {call.method} {call.path}"
        )
        known = {
            param["name"]
            for path in found
            for param in routes[path].get(call.method.lower(), {}).get("parameters", ())
        }
        assert {key for key, value in call.query.items() if value is not None} <= known, step.name


def names_of(part: object) -> set[str]:
    return {name for name in dir(part) if not name.startswith("_")}


def test_both_kinds_have_the_same_names_and_signatures() -> None:
    sync, other = Arena("http://127.0.0.1:9"), AsyncArena("http://127.0.0.1:9")
    groups = [("", sync, other), ("telemetry", sync.telemetry, other.telemetry)]
    groups += [
        (name, getattr(sync, name), getattr(other, name)) for name in vars(sync) if not name.startswith("_")
    ]
    for group, mine, theirs in groups:
        assert names_of(mine) == names_of(theirs), group
        for name in names_of(mine):
            one, two = getattr(mine, name), getattr(theirs, name)
            if inspect.isroutine(one):
                assert list(signature_of(one)) == list(signature_of(two)), f"{group}.{name}"
                assert one.__doc__, f"{group}.{name} has no text"


def signature_of(function: Any) -> Iterator[tuple[Any, ...]]:
    for param in inspect.signature(function).parameters.values():
        yield param.name, param.kind, param.default, str(param.annotation)
