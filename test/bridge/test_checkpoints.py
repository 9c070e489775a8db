# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the catalog on a real port: published, described, and driven by real inference workers."""

import io
import json
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

import lerobot_arena
from lerobot_arena.bridge.creation import inspect_checkpoint
from lerobot_arena.cli.app import app
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.worker_client import WorkerClient, WorkerOptions
from lerobot_arena.platform.catalog import bundle
from lerobot_arena.testing.act_checkpoint import write_act_checkpoint
from lerobot_arena.testing.bridge_rig import PASSWORD, open_rig
from lerobot_arena.testing.live_bridge import LiveBridge, live_bridge
from lerobot_arena.testing.policy_folders import CheckpointFolder

DEMO = Path(lerobot_arena.__file__).parent / "models" / "demo"
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@dataclass
class World:
    """A bridge, and Anna, who publishes with a token."""

    bridge: LiveBridge
    token: str

    @property
    def data(self) -> Path:
        return self.bridge.services.settings.data_dir

    def publish(
        self, archive: bytes, slug: str, *, token: str | None = None, **fields: str
    ) -> httpx.Response:
        return httpx.post(
            f"{self.bridge.url}/api/catalog/checkpoints",
            data={"slugPath": slug, "title": slug.title(), **fields},
            files={"bundle": ("policy.zip", archive)},
            headers={"Authorization": f"Bearer {self.token if token is None else token}"},
            timeout=120,
        )

    def get(self, path: str) -> Any:
        return httpx.get(self.bridge.url + path).json()

    def create(self, session: str, policy: str, **fields: Any) -> httpx.Response:
        body = {"session_id": session, "policy_path": policy, "robot": "arm", **fields}
        return httpx.post(f"{self.bridge.url}/sessions", json=body, timeout=60)

    def delete(self, path: str) -> int:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.delete(self.bridge.url + path, headers=headers).status_code

    def wanted(self, session: str) -> SessionWanted:
        sent = self.bridge.fake.wanted
        assert sent is not None
        return next(one for one in sent.sessions if one.session_id == session)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with live_bridge(tmp_path_factory.mktemp("data"), beats=False, seed_catalog=False) as bridge:
        accounts = bridge.services.accounts
        accounts.users.create("anna", PASSWORD)
        _, token = accounts.tokens.create("anna", "test", accounts.users.get("anna").scopes)
        yield World(bridge, token)


def zipped(folder: Path, work: Path) -> bytes:
    archive = work / "packed.zip"
    bundle.pack(folder, archive)
    return archive.read_bytes()


@pytest.fixture(scope="module")
def demo(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The shipped demo policy, published."""
    answer = world.publish(zipped(DEMO, tmp_path_factory.mktemp("zip")), "demo")
    assert answer.status_code == 201, answer.text
    manifest: dict[str, Any] = answer.json()["manifest"]
    return manifest


def first_chunk(wanted: SessionWanted) -> np.ndarray:
    """What a real worker process answers for a session as the bridge wants it."""
    manifest = inspect_policy(wanted.policy_path, wanted=wanted, robot=None)
    worker = WorkerClient(
        manifest, WorkerOptions(nice=0, threads=1, load_timeout_s=300.0, infer_timeout_s=30.0)
    )
    try:
        worker.load(manifest)
        frames = {c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in manifest.cameras}
        seen = PolicyInput(np.zeros(len(manifest.joint_names)), frames, "", time_s=1.0)
        return worker.infer("s", [seen], reset=True).chunk
    finally:
        worker.kill()


def test_the_demo_policy_is_described_listed_and_drives_a_session(world: World, demo: dict[str, Any]) -> None:
    assert (demo["ref"], demo["version"], demo["format"]) == ("anna/demo", 1, "onnx")
    assert demo["policyType"] == "act" and demo["chunkSize"] == 50 and demo["fps"] == 30.0
    assert demo["jointNames"] == list(JOINTS) and demo["unit"] == "normalized"
    assert demo["cameras"]["front"] == {
        "height": 480,
        "width": 640,
        "trained_height": 96,
        "trained_width": 128,
    }
    assert world.get("/api/catalog/checkpoints?q=demo")["items"] == [demo]
    assert world.get("/api/catalog/checkpoints/anna/demo")["manifest"] == demo
    assert world.create("pick", demo["policyPath"]).status_code == 200
    wanted = world.wanted("pick")
    assert wanted.revision == "1" and Path(wanted.policy_path).parent == world.data / "checkpoints"
    status = world.get("/sessions/pick")
    assert status["policy_path"] == "catalog:anna/demo" and status["inference_stats"]["revision"] == "1"
    assert first_chunk(wanted).shape == (50, 6)


@pytest.mark.lerobot
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_lerobot_checkpoint_is_published_from_its_folder_and_drives_a_session(
    world: World, tmp_path: Path
) -> None:
    write_act_checkpoint(tmp_path / "out" / "pretrained_model")
    manifest = world.publish(zipped(tmp_path / "out", tmp_path), "lab/act").json()["manifest"]
    assert (manifest["format"], manifest["policyType"], manifest["chunkSize"]) == ("lerobot", "act", 20)
    assert (
        manifest["jointNames"] is manifest["unit"] is manifest["fps"] is None and manifest["actionSize"] == 6
    )
    told = {"unit": "normalized", "rate_hz": 30.0, "joint_names": list(JOINTS)}
    assert world.create("act", "catalog:anna/lab/act", **told).status_code == 200
    wanted = world.wanted("act")
    assert Path(wanted.policy_path).name == "pretrained_model"
    assert first_chunk(wanted).shape == (20, 6)


def test_versions_are_named_and_each_has_a_folder_of_its_own(world: World, tmp_path: Path) -> None:
    archives = []
    for rate_hz in (20.0, 25.0):
        manifest = json.loads((DEMO / "manifest.json").read_text()) | {"fps": rate_hz}
        folder = tmp_path / f"{rate_hz}"
        shutil.copytree(DEMO, folder)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        archives.append(zipped(folder, tmp_path))
        assert world.publish(archives[-1], "two").status_code == 201
    assert [v["fps"] for v in world.get("/api/catalog/checkpoints/anna/two/versions")["items"]] == [
        25.0,
        20.0,
    ]
    assert world.create("newest", "catalog:anna/two").status_code == 200
    assert world.create("older", "catalog:anna/two@1").status_code == 200
    newest, older = world.wanted("newest"), world.wanted("older")
    assert (newest.revision, older.revision) == ("2", "1") and newest.policy_path != older.policy_path
    assert json.loads((Path(older.policy_path) / "manifest.json").read_text())["fps"] == 20.0
    assert world.create("none", "catalog:anna/two@3").status_code == 400
    # What a session drives stays, whichever version it is; afterwards its folders go too.
    assert world.delete("/api/catalog/checkpoints/anna/two") == 409
    for session in ("newest", "older"):
        assert httpx.delete(f"{world.bridge.url}/sessions/{session}").status_code == 200
    assert world.delete("/api/catalog/checkpoints/anna/two") == 200
    assert not Path(older.policy_path).exists() and not Path(newest.policy_path).exists()
    assert world.create("gone", "catalog:anna/two").status_code == 400


def test_data_sets_that_lie_elsewhere_on_this_machine_tell_a_checkpoint_nothing(
    world: World, tmp_path: Path
) -> None:
    """A publisher's train_config.json names folders of theirs; here such a path is somebody else's."""
    (tmp_path / "secret" / "meta").mkdir(parents=True)
    info = {"fps": 17, "features": {"action": {"names": [f"{joint}.pos" for joint in JOINTS]}}}
    (tmp_path / "secret" / "meta" / "info.json").write_text(json.dumps(info))
    folder = tmp_path / "policy"
    shutil.copytree(DEMO, folder)
    manifest = json.loads((DEMO / "manifest.json").read_text())
    del manifest["fps"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    train = {"dataset": {"root": str(tmp_path / "secret")}}
    (folder / "train_config.json").write_text(json.dumps(train))
    answer = world.publish(zipped(folder, tmp_path), "elsewhere")
    assert answer.status_code == 201 and answer.json()["manifest"]["fps"] is None


@pytest.mark.parametrize("is_known", [True, False])
def test_nor_do_they_name_the_joints_of_a_session(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    robots = world.data / "robots"
    monkeypatch.setattr(world.bridge.services.maker, "_inspect", partial(inspect_checkpoint, robots=robots))
    (tmp_path / "secret" / "meta").mkdir(parents=True)
    info = {"fps": 17, "features": {"action": {"names": [f"secret_{joint}" for joint in JOINTS]}}}
    (tmp_path / "secret" / "meta" / "info.json").write_text(json.dumps(info))
    folder = CheckpointFolder(tmp_path / "policy").write()
    root = str(tmp_path / "secret") if is_known else "~nosuchuser/x"
    (folder / "train_config.json").write_text(json.dumps({"dataset": {"root": root}}))
    assert world.publish(zipped(folder, tmp_path), f"named-{is_known}").status_code == 201
    published = world.bridge.services.published
    placed = published.checkpoints.place(f"anna/named-{is_known}")
    assert [path.name for path in placed.folder.rglob("train_config.json")] == []
    # As an earlier version unpacked it.
    (placed.folder / "train_config.json").write_text((folder / "train_config.json").read_text())
    fields = {"robot": None, "unit": "degrees", "rate_hz": 30.0, "camera_names": ["front"]}
    answer = world.create("named", f"catalog:anna/named-{is_known}", **fields)
    assert answer.status_code == 400 and "joint_names" in answer.json()["detail"], answer.text
    assert "secret" not in answer.text


def test_a_folder_that_was_tampered_with_is_unpacked_anew(world: World, demo: dict[str, Any]) -> None:
    place = world.bridge.services.published.checkpoints.place
    folder = place("anna/demo").folder
    before = (folder / "manifest.json").stat().st_ino
    assert (place("anna/demo").folder / "manifest.json").stat().st_ino == before, "unpacked once"
    good = (folder / "manifest.json").read_text()
    for bad in ("{}", good.replace('"fps": 30.0', '"fps": 60.0')):
        (folder / "manifest.json").write_text(bad)
        assert (place("anna/demo").folder / "manifest.json").read_text() == good
    (folder / "more.pt").write_bytes(b"pickle")
    assert sorted(path.name for path in place("anna/demo").folder.iterdir()) == sorted(
        path.name for path in DEMO.iterdir()
    )
    assert [path.name for path in (world.data / "checkpoints").glob(".*")] == []


def test_many_sessions_at_once_unpack_one_whole_folder(world: World, demo: dict[str, Any]) -> None:
    checkpoints = world.bridge.services.published.checkpoints
    shutil.rmtree(checkpoints.place("anna/demo").folder)
    sizes: list[int] = []

    def look() -> None:
        sizes.append((checkpoints.place("anna/demo").folder / "model.onnx").stat().st_size)

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [(DEMO / "model.onnx").stat().st_size] * 6


def test_a_damaged_store_is_503_and_leaves_nothing_half_done(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    shutil.copytree(DEMO, folder)
    (folder / "notes.json").write_text("{}")
    assert world.publish(zipped(folder, tmp_path), "damaged").status_code == 201
    published = world.bridge.services.published
    sha256 = published.shelf.get("checkpoint", "anna/damaged").files["bundle"].sha256
    stored = world.data / "blobs" / sha256[:2] / sha256
    stored.write_bytes(stored.read_bytes()[:-100] + b"\0" * 100)
    answer = world.create("damaged", "catalog:anna/damaged")
    assert answer.status_code == 503 and "damaged" in answer.json()["detail"]
    assert not (world.data / "checkpoints" / sha256).exists()
    assert list((world.data / "checkpoints").glob(".*")) == []


def test_the_command_line_takes_a_catalog_reference(world: World, demo: dict[str, Any]) -> None:
    result = CliRunner().invoke(
        app, ["session", "create", "by-cli", "--policy", "catalog:anna/demo@1", "--url", world.bridge.url]
    )
    assert result.exit_code == 0, result.output
    assert world.get("/sessions/by-cli")["policy_path"] == "catalog:anna/demo@1"


def of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def hostile() -> dict[str, tuple[bytes, str]]:
    """Zips that are refused, and a word of why."""
    manifest, model = (DEMO / "manifest.json").read_bytes(), (DEMO / "model.onnx").read_bytes()
    config = b'{"type": "act", "input_features": {}, "output_features": {}}'
    endless = b'{"a":' * 100_000
    return {
        "no zip": (b"PK\x03\x04" + b"\0" * 1000, "zip"),
        "nothing": (of(), "empty"),
        "a pickle": (of(**{"manifest.json": manifest, "weights.bin": b"\x80\x04"}), "weights.bin"),
        "code": (of(**{"config.json": config, "modeling.py": b"raise SystemExit"}), "modeling.py"),
        "out of the folder": (of(**{"../manifest.json": manifest, "model.onnx": model}), "leads out"),
        "a bomb": (of(**{"manifest.json": manifest, "model.onnx": b"\0" * 30_000_000}), "bomb"),
        "no policy": (of(**{"notes.json": b"{}"}), "no policy folder"),
        "two folders": (of(**{"a/config.json": config, "b/config.json": config}), "no policy folder"),
        "no weights": (of(**{"config.json": config}), "model.safetensors"),
        "half a model": (of(**{"manifest.json": manifest, "model.onnx": model[:5000]}), "ONNX"),
        "half a manifest": (of(**{"manifest.json": manifest[:-20], "model.onnx": model}), "JSON"),
        "a deep manifest": (of(**{"manifest.json": endless, "model.onnx": model}), ""),
        "cut tensors": (
            of(**{"manifest.json": manifest, "model.onnx": model, "ood.safetensors": b"\xff" * 64}),
            "safetensors",
        ),
        "a strange unit": (
            of(**{"manifest.json": manifest.replace(b'"normalized"', b'"parsecs"'), "model.onnx": model}),
            "unit",
        ),
        "a unit that cannot be": (
            of(**{"manifest.json": manifest.replace(b'"normalized"', b'"radians"'), "model.onnx": model}),
            "radians",
        ),
    }


@pytest.mark.parametrize("name", list(hostile()))
def test_what_is_no_checkpoint_is_400_in_one_sentence_and_leaves_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    archive, says = hostile()[name]
    blobs = sorted((world.data / "blobs").rglob("*"))
    answer = world.publish(archive, "bad")
    assert answer.status_code == 400, answer.text
    said = answer.json()["detail"]
    assert says.lower() in said.lower() and str(world.data) not in said and "arena-" not in said, said
    assert sorted((world.data / "blobs").rglob("*")) == blobs and not list((world.data / "uploads").iterdir())
    assert list(tmp_path.iterdir()) == []
    assert httpx.get(f"{world.bridge.url}/api/catalog/checkpoints/anna/bad").status_code == 404


def test_who_may_publish_and_under_which_name(world: World) -> None:
    archive = of(**{"config.json": b"{}"})
    assert world.publish(archive, "x", token="rr_live_no").status_code == 401
    assert httpx.post(f"{world.bridge.url}/api/catalog/checkpoints").status_code == 401
    assert world.publish(archive, "x", owner="eve").status_code == 403
    assert world.publish(archive, "../x").status_code == 400
    assert world.publish(archive, "x", title="").status_code == 400
    assert world.publish(b"", "x").status_code == 400


@pytest.mark.parametrize(
    "path", ["catalog:", "catalog:demo", "catalog:a/b@", "catalog:a/b@0", "catalog:a/b@x", "catalog:../x"]
)
async def test_a_reference_to_nothing_is_400(data_dir: Path, path: str) -> None:
    async with open_rig(data_dir) as rig:
        answer = await rig.http.post(
            "/sessions", json={"session_id": "s", "policy_path": path, "robot": "arm"}
        )
        assert answer.status_code == 400 and "catalog" in answer.json()["detail"], answer.text


async def test_the_largest_upload_is_a_setting(data_dir: Path) -> None:
    async with open_rig(data_dir, checkpoint_max_bytes=1000) as rig:
        token = await rig.user("anna")
        fields = {"slugPath": "x", "title": "X"}
        for size, status in ((2000, 400), (1_100_000, 413)):
            async with rig.caller(token) as anna:
                answer = await anna.post(
                    "/api/catalog/checkpoints", data=fields, files={"bundle": b"x" * size}
                )
            assert answer.status_code == status, answer.text
