# SPDX-License-Identifier: Apache-2.0
"""What a policy_path may name, and that no name leads out of the roots; downloads come from a local hub."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Response

from lerobot_arena.bridge.hub import Hub, HubReference
from lerobot_arena.bridge.policy_source import PolicySources, ResolvedPolicy
from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.testing.bridge_rig import open_rig

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"type": "act"}',
    "model.safetensors": b"weights",
    "train/stats.json": b"{}",
    "modeling_evil.py": b"raise SystemExit",
    "optimizer.bin": b"\x80\x04pickle",
}


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    for root, name in (("one", "act"), ("two", "org/name")):
        (tmp_path / root / name).mkdir(parents=True)
    (tmp_path / "one" / "run.json").write_text("{}")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.json").write_text("{}")
    return [tmp_path / "one", tmp_path / "two"]


@pytest.fixture
def sources(roots: list[Path], tmp_path: Path) -> PolicySources:
    return PolicySources(tuple(roots), Hub(tmp_path / "hub", endpoint="http://127.0.0.1:9"))


def test_what_can_be_named(sources: PolicySources, roots: list[Path]) -> None:
    act = ResolvedPolicy(str(roots[0] / "act"))
    assert sources.resolve("demo") == ResolvedPolicy("demo")
    assert sources.resolve("hold") == ResolvedPolicy("hold", "hold")
    assert (
        sources.resolve("act") == sources.resolve(str(roots[0] / "act")) == sources.resolve("./act/") == act
    )
    assert sources.resolve("org/name") == ResolvedPolicy(str(roots[1] / "org/name")), "local before hub"
    assert sources.resolve("replay:run.json") == ResolvedPolicy(f"replay:{roots[0] / 'run.json'}", "replay")


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "\0",
        "x" * 1001,
        "nowhere",
        "/",
        "/etc",
        "~",
        "..",
        "../secret",
        "act/../../secret",
        "org/../../secret",
        "a/b/c",
        "replay:../secret/key.json",
        "replay:/etc/passwd",
        "replay:act",
        "run.json",
        "out",
        "act-out",
    ],
)
def test_nothing_outside_the_roots_can_be_named(
    sources: PolicySources, roots: list[Path], reference: str
) -> None:
    (roots[0] / "out").symlink_to(roots[0].parent / "secret")
    (roots[0] / "act-out").mkdir()
    (roots[0] / "act-out" / "model.safetensors").symlink_to(roots[0].parent / "secret" / "key.json")
    with pytest.raises(InvalidInput) as caught:
        sources.resolve(reference)
    if reference in {"nowhere", "/etc", "../secret"}:
        assert str(roots[0]) in str(caught.value) and "ARENA_POLICY_ROOTS" in str(caught.value)


def test_links_within_the_roots_are_fine(sources: PolicySources, roots: list[Path]) -> None:
    (roots[0] / "latest").symlink_to(roots[0] / "act")
    assert sources.resolve("latest").path == str(roots[0] / "act")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", HubReference("org/name")),
        ("org/name@v1.0", HubReference("org/name", "v1.0")),
        ("org/na_me-2.x@refs/pr/3", HubReference("org/na_me-2.x", "refs/pr/3")),
        ("name", None),
        ("org/name@", None),
        ("org/na..me", None),
        ("org/name@../x", None),
        ("-org/name", None),
        ("org/name/deep", None),
        ("org/näme?", None),
    ],
)
def test_hub_ids(text: str, expected: HubReference | None) -> None:
    assert HubReference.parse(text) == expected


class LocalHub:
    """As much of huggingface.co's API as a download needs."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.fetched: list[str] = []
        self.files = dict(FILES)
        add = self.app.add_api_route
        add("/api/models/{org}/{name}", self.info)
        add("/api/models/{org}/{name}/revision/{revision:path}", self.info)
        add("/api/models/{org}/{name}/tree/{revision}", self.tree)
        add("/{org}/{name}/resolve/{revision}/{path:path}", self.file, methods=["GET", "HEAD"])

    async def info(self, org: str, name: str, revision: str = "main") -> Any:
        if (org, name) != ("lab", "act"):
            return Response(status_code=404, headers={"X-Error-Code": "RepoNotFound"})
        if revision not in {"main", "v1", COMMIT}:
            return Response(status_code=404, headers={"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": path, "size": len(data)} for path, data in self.files.items()]
        return {"id": f"{org}/{name}", "modelId": f"{org}/{name}", "sha": COMMIT, "siblings": siblings}

    async def tree(self) -> Any:
        return [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in self.files.items()
        ]

    async def file(self, path: str) -> Response:
        data = self.files[path]
        self.fetched.append(path)
        return Response(
            data, headers={"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        )


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[LocalHub, str]]:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    local = LocalHub()
    server = uvicorn.Server(uvicorn.Config(local.app, port=0, log_level="warning", lifespan="off"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield local, f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


async def test_a_hub_policy_is_pinned_and_only_safe_files_are_fetched(
    hub: tuple[LocalHub, str], tmp_path: Path
) -> None:
    local, endpoint = hub
    downloads = Hub(tmp_path / "hub", endpoint=endpoint)
    path, commit = await asyncio.to_thread(downloads.download, HubReference("lab/act", "v1"))
    assert commit == COMMIT and path == tmp_path / "hub" / f"lab--act@{COMMIT}"
    found = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert found == {"config.json", "model.safetensors", "train/stats.json"}
    assert (path / "model.safetensors").read_bytes() == b"weights"
    assert not any(file.is_symlink() for file in path.rglob("*"))
    assert {Path(name).suffix for name in local.fetched} == {".json", ".safetensors"}
    local.fetched.clear()
    assert await asyncio.to_thread(downloads.download, HubReference("lab/act")) == (path, COMMIT)
    assert local.fetched == []
    offline = Hub(tmp_path / "hub", endpoint="http://127.0.0.1:9")
    assert offline.download(HubReference("lab/act", COMMIT)) == (path, COMMIT)


async def test_what_a_hub_may_answer_instead(hub: tuple[LocalHub, str], tmp_path: Path) -> None:
    local, endpoint = hub
    downloads = Hub(tmp_path / "hub", endpoint=endpoint, max_bytes=100)

    async def refusal(reference: str) -> str:
        parsed = HubReference.parse(reference)
        assert parsed is not None
        with pytest.raises(InvalidInput) as caught:
            await asyncio.to_thread(downloads.download, parsed)
        return str(caught.value)

    assert "no model 'lab/none'" in await refusal("lab/none")
    assert "no revision 'v9'" in await refusal("lab/act@v9")
    local.files["model.safetensors"] = b"x" * 200
    assert "ARENA_HUB_MAX_BYTES" in await refusal("lab/act")
    del local.files["model.safetensors"]
    assert "no safetensors" in await refusal("lab/act")
    assert not (tmp_path / "hub").exists()


async def test_an_unreachable_hub_is_503_and_leaves_nothing(tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(Unavailable):
        Hub(tmp_path / "hub", endpoint="http://127.0.0.1:9").download(HubReference("lab/act"))
    async with open_rig(data_dir, HF_ENDPOINT="http://127.0.0.1:9") as rig:
        answer = await rig.http.post(
            "/sessions", json={"session_id": "s", "policy_path": "lab/act", "robot": "arm"}
        )
        assert answer.status_code == 503
        assert (await rig.http.get("/sessions")).json() == []


async def test_a_session_of_a_hub_policy_records_its_revision(
    hub: tuple[LocalHub, str], data_dir: Path
) -> None:
    async with open_rig(data_dir, HF_ENDPOINT=hub[1]) as rig:
        await rig.create(policy_path="lab/act@v1")
        (wanted,) = rig.fake.wanted.sessions
        assert wanted.revision == COMMIT and wanted.policy_path.endswith(f"lab--act@{COMMIT}")
        await asyncio.sleep(0)
        status = await rig.status()
        assert status["policy_path"] == "lab/act@v1"
        assert status["inference_stats"]["revision"] == COMMIT
