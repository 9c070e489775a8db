# SPDX-License-Identifier: Apache-2.0
"""docs/deployments.md: its runtime of another package works as printed, and its tables are those of the code."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lerobot_arena.bridge import access
from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.publishing import Upload
from lerobot_arena.platform.deployments import deployment, picture_child, service, vla_request
from lerobot_arena.platform.deployments.deployment import KINDS, Deployment, Scale
from lerobot_arena.platform.deployments.fleet import Fleet
from lerobot_arena.platform.deployments.runtimes import load_runtimes
from lerobot_arena.testing.bridge_rig import open_rig
from lerobot_arena.testing.checkpoint_zip import checkpoint_zip

PAGE = (Path(__file__).parents[2] / "docs" / "deployments.md").read_text()
GEMMA = "instance.vlm.gemma"


def install(folder: Path, code: str, kind: str, target: str) -> None:
    """What pip leaves of a package: its module, and what it offers."""
    (folder / f"{target.partition(':')[0]}.py").write_text(code)
    info = folder / "my_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[lerobot_arena.runtimes]\n{kind} = {target}\n")


@pytest.fixture
async def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The page's own example."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    ((kind, target),) = re.findall(r'```toml.*?\n"(.+?)" = "(.+?)"\n```', PAGE, re.S)
    assert kind == GEMMA
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages, code, kind, target)
    monkeypatch.syspath_prepend(str(packages))
    yield


async def test_the_page_s_runtime_answers_over_rest(installed: None, tmp_path: Path) -> None:
    async with open_rig(tmp_path / "data") as rig, rig.caller(await rig.user("anna")) as anna:
        file = tmp_path / "demo.zip"
        file.write_bytes(checkpoint_zip())
        publisher = rig.services.published.publisher
        fields = {"slugPath": "demo", "title": "Demo"}
        await asyncio.to_thread(publisher.checkpoint, "anna", fields, Upload("demo.zip", file))
        body = {"title": "Reads", "policyRef": "anna/demo", "runtimeKind": GEMMA}
        made = (await anna.post("/api/deployments", json=body)).json()["deployment"]
        assert made["status"] == "idle"
        answer = await anna.post(made["endpointPath"], json={"text": "hello"})
        assert answer.json() == {"policy": "anna/demo", "answer": "HELLO"}
        refused = await anna.post(made["endpointPath"], json={})
        assert refused.status_code == 400 and "Send text" in refused.text


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module", "no_such_module"),
        ("raise KeyError('licence')", "licence"),
        ("x = 1", "Gemma"),
    ],
)
async def test_a_runtime_that_does_not_load_is_its_own_kind_s_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    install(tmp_path, code, GEMMA, f"broken_{tmp_path.name}:Gemma")
    monkeypatch.syspath_prepend(str(tmp_path))
    fleet = Fleet(load_runtimes({}), ManualClock())
    one = Deployment("d", "lab", "T", "t", "lab/p", GEMMA, Scale(), 0.0)
    assert fleet.state(one).status == "failed" and said in (fleet.state(one).last_error or "")
    assert said not in fleet.missing("instance.vlm.wilddet3d")


async def test_a_foreign_kind_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "raise SystemExit\n", "instance.of.nobody", "foreign_runtime:Gemma")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(load_runtimes({})) == set(KINDS)


def test_the_page_has_every_kind_and_number() -> None:
    for kind in KINDS:
        assert f"`{kind}`" in PAGE
    row = access.table()["POST", "/deployments/{owner}/{slug}"]
    for text in (
        f"≤ {deployment.MOST_INSTANCES}",
        f"| {deployment.DEFAULT_IDLE_S} |",
        f"up to {service.ASK_TIMEOUT_S:g} s",
        f"at most {picture_child.MOST_BYTES // 10**6} MB each, {row.body_bytes // 10**6} MB a request",
    ):
        assert text in PAGE
    with pytest.raises(InvalidInput, match="1 to 2000"):
        vla_request.read_request({}, None)  # type: ignore[arg-type]
