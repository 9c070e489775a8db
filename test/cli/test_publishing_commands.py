# SPDX-License-Identifier: Apache-2.0
"""`arena validate`, `publish`, `catalog`, `leaderboard` and `trial` against the real app."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.cli.leaderboard import leaderboard as leaderboard_command
from lerobot_arena.platform.arena.matchup import MEMBER, READY, Matchup, Side
from lerobot_arena.platform.catalog.item import POLICY, SCENE, Item
from lerobot_arena.testing.catalog_files import cart_policy, cart_xml, glb_bytes, triangle_document
from lerobot_arena.testing.live_bridge import LiveBridge


def arena(*arguments: str, **options: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture
def cart(tmp_path: Path) -> Path:
    """A folder with all three contract files."""
    folder = tmp_path / "cart"
    (folder / "robot").mkdir(parents=True)
    (folder / "robot" / "robot.xml").write_text(cart_xml())
    (folder / "policy.onnx").write_bytes(cart_policy())
    (folder / "scene.glb").write_bytes(glb_bytes(*triangle_document()))
    (folder / "robot.yaml").write_text(
        "kind: robot\nslug: cart\ntitle: Cart\nrobot_key: lab/cart\nbundle: robot\n"
    )
    (folder / "scene.yaml").write_text("kind: scene\nslug: yard\nglb: scene.glb\nbenchmark_scene: lab/park\n")
    (folder / "policy.yaml").write_text(
        "kind: policy\nslug: drive\ntitle: Drive\nruntime_adapter: onnx_metadata_v1\nmodel: policy.onnx\n"
        "default_robot: anna/cart\ndefault_scene: anna/yard\n"
    )
    return folder


@pytest.fixture
def bridge(annas_bridge: LiveBridge) -> LiveBridge:
    """A bridge in whose catalog there is one benchmark scene, and Anna's token for it."""
    park = Item(kind=SCENE, owner="lab", slug="park", title="Park")
    annas_bridge.services.published.shelf.put(park)
    return annas_bridge


def test_validate_says_what_a_server_would(cart: Path, tmp_path: Path) -> None:
    found = arena("validate", cart, "--json")
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert answer["ok"] and {finding["file"] for finding in answer["findings"]} == {
        "robot.yaml",
        "scene.yaml",
        "policy.yaml",
    }
    assert arena("validate", cart / "robot.yaml").exit_code == 0
    (cart / "policy.onnx").write_bytes(cart_policy(joint_names=None))
    bad = arena("validate", cart)
    assert bad.exit_code == 2 and "ERROR" in bad.stdout and "joint_names" in bad.stdout


def test_a_policy_is_validated_on_a_robot_from_elsewhere(cart: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("policy.yaml", "policy.onnx"):
        shutil.move(cart / name, alone / name)
    assert "was not run" in arena("validate", alone).stdout
    assert "on the robot" in arena("validate", alone, "--robot", cart).stdout
    wrong = arena("validate", alone, "--robot", alone, "--json")
    assert wrong.exit_code == 2 and "robot.yaml" in wrong.stdout


@pytest.mark.parametrize(("name", "words"), [("none", "There is no"), ("notes.txt", "none of")])
def test_validate_takes_folders_and_contract_files(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "notes.txt").write_text("")
    result = arena("validate", tmp_path / name)
    assert result.exit_code == 2 and words in result.stderr


def test_a_folder_is_published_shown_and_deleted(cart: Path, bridge: LiveBridge) -> None:
    done = arena("publish", cart)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == [
        f"{bridge.url}/anna/{slug}" for slug in ("cart", "yard", "drive")
    ]
    again = json.loads(arena("publish", cart / "robot.yaml", "--json").stdout)
    assert [(item["ref"], item["version"]) for item in again] == [("anna/cart", 2)]
    assert again[0]["url"] == f"{bridge.url}/anna/cart"
    assert "anna/drive" in arena("catalog", "list", "policies", "--search", "driv").stdout
    kinds = {item["kind"] for item in json.loads(arena("catalog", "list", "--json").stdout)}
    assert kinds == {"policy", "robot", "scene"}
    assert "onnx_metadata_v1" in arena("catalog", "show", "policies", "anna/drive").stdout
    assert len(arena("catalog", "show", "robots", "anna/cart", "--versions").stdout.splitlines()) == 3
    needed = arena("catalog", "delete", "robots", "anna/cart")
    assert needed.exit_code == 1 and "anna/drive" in needed.stderr
    assert arena("catalog", "delete", "policies", "anna/drive").exit_code == 0
    assert arena("catalog", "show", "policies", "anna/drive").exit_code == 1


def test_what_is_refused_is_one_sentence(
    cart: Path, bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cart / "policy.yaml").write_text("kind: policy\nslug: drive\n")
    wrong = arena("publish", cart)
    assert wrong.exit_code == 2 and "runtime_adapter" in wrong.stderr
    assert not bridge.services.published.shelf.list(POLICY), "it is read before anything is sent"
    (cart / "scene.yaml").write_text("glb: ../scene.glb\nkind: scene\n")
    assert arena("publish", cart / "scene.yaml").exit_code == 2
    monkeypatch.setenv("ARENA_TOKEN", "")
    nobody = arena("publish", cart / "robot.yaml")
    assert nobody.exit_code == 1 and "Log in" in nobody.stderr


def put_votes(bridge: LiveBridge, count: int) -> None:
    """On two policies, and one that nobody has voted on."""
    published = bridge.services.published
    facts = {"controlSpec": {"version": 1}}
    for slug in ("trot", "walk", "idle"):
        published.shelf.put(Item(kind=POLICY, owner="lab", slug=slug, title=slug.title(), facts=facts))
    published.shelf.delete(POLICY, "lab/walk")
    for number in range(count):
        names = ("lab/trot", "lab/walk") if number % 3 else ("lab/walk", "lab/trot")
        left, right = (Side(name, name, f"s{number}{name}", "c" * 64) for name in names)
        matchup = Matchup(f"m{number}", left, right, "lab/pony", "lab/park", "r", "s", 1e9, READY)
        published.votes.save(matchup)
        winner = "both_good" if number % 5 == 0 else "left"
        published.votes.vote(
            f"m{number}", f"v{number % 7}", MEMBER, winner=winner, at=1e9 + 86_400.25 * number
        )


def test_the_table_is_the_same_offline(bridge: LiveBridge, tmp_path: Path) -> None:
    empty = arena("leaderboard", "--json")
    assert json.loads(empty.stdout)["entries"] == []
    put_votes(bridge, 40)
    published = bridge.services.published
    bridge.run(published.desk.ask(published.leaderboard.refresh))
    file = tmp_path / "trials.jsonl"
    assert arena("leaderboard", "download", file).exit_code == 0
    theirs, ours = arena("leaderboard", "--json"), arena("leaderboard", "compute", file, "--json")
    table = json.loads(theirs.stdout)
    assert table == json.loads(ours.stdout)
    assert [entry["policy_ref"] for entry in table["entries"]] == ["lab/trot", "lab/idle", "lab/walk"]
    assert table["entries"][0]["confidence_low"] is not None
    assert arena("leaderboard").stdout == arena("leaderboard", "compute", file).stdout
    assert "lab/trot" in arena("leaderboard").stdout and leaderboard_command.__doc__


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"matchup": "m"}', '{"policy": "a/b"}\n{"winner": "me", "at": 1}', "\x00"]
)
def test_what_is_no_download_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    result = arena("leaderboard", "compute", tmp_path / "t.jsonl")
    assert result.exit_code == 2 and "no download of votes" in result.stderr
    assert arena("leaderboard", "compute", tmp_path / "none").exit_code == 2


def test_a_trial_runs_and_is_voted_on(bridge: LiveBridge) -> None:
    done = arena("trial", "demo", "hold", "--seconds", "1", "--seed", "4", "--vote", "left")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert {line.split()[1].rstrip(",") for line in lines} == {"demo", "hold"}
    assert all("recorded in sess_" in line for line in lines)
    (vote,) = bridge.services.published.votes.trials(1e11)
    assert vote.kind == "physical" and vote.winner == "left"


def test_a_trial_without_a_vote_tells_no_names(bridge: LiveBridge) -> None:
    found = json.loads(arena("trial", "demo", "hold", "--seconds", "1", "--json").stdout)
    assert found["status"] == "ready" and "demo" not in json.dumps(found)


def test_a_trial_that_cannot_be_is_refused(bridge: LiveBridge) -> None:
    assert "two policies" in arena("trial", "demo").stderr
    assert "--vote" in arena("trial", "demo", "hold", "--vote", "mine").stderr
    none = arena("trial")
    assert none.exit_code == 2 and "two checkpoints" in none.stderr
    bridge.on_loop(lambda: bridge.fake.refusals.update(arm="The joints are stale."))
    failed = arena("trial", "demo", "hold", "--seconds", "1")
    assert failed.exit_code == 1 and "The joints are stale." in failed.stderr
