# SPDX-License-Identifier: Apache-2.0
"""The first admin's link: printed where the bridge was started, and nowhere else."""

import re
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.bridge.accounts_desk import offer_first_admin
from lerobot_arena.testing.bridge_rig import Rig, make_settings, open_rig

PASSWORD = "a long enough sentence"


async def printed(rig: Rig, capsys: pytest.CaptureFixture[str], port: int = 8001) -> str:
    await offer_first_admin(rig.services.desk, rig.services.settings, port)
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({"trust_loopback": False}, "http://127.0.0.1:8001"),
        ({"behind_proxy": True}, "http://127.0.0.1:8001"),
        ({"bridge_host": "192.0.2.7"}, "http://192.0.2.7:8001"),
        ({"bridge_host": "2001:db8::7"}, "http://[2001:db8::7]:8001"),
    ],
)
async def test_the_link_is_printed_where_loopback_opens_nothing(
    data_dir: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], address: str
) -> None:
    async with open_rig(data_dir, **changes) as rig:
        text = await printed(rig, capsys)
        assert f"{address}/ui/#first-admin=" in text and "arena users create" in text
        assert "first-admin=" not in (await rig.http.get("/debug/logs")).text
        secret = text.split("#first-admin=")[1].split()[0]
        assert not any(secret in entry.message for entry in rig.services.logs.newest(1000))


async def test_a_bridge_on_all_addresses_prints_one_that_can_be_opened(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_rig(data_dir, bridge_host="0.0.0.0") as rig:
        found = re.search(r"http://([^/:]+):(\d+)/ui/", await printed(rig, capsys, 18610))
        assert found is not None and found[1] not in {"0.0.0.0", ""} and found[2] == "18610"


async def test_at_the_machine_alone_no_link_is_needed(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert await printed(rig, capsys) == ""


async def test_the_link_makes_one_admin(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_rig(data_dir, trust_loopback=False) as rig:
        secret = (await printed(rig, capsys)).split("#first-admin=")[1].split()[0]
        body = {"secret": secret, "username": "anna", "password": PASSWORD}
        wrong = await rig.http.post("/auth/first-admin", json={**body, "secret": "x"})
        assert wrong.status_code == 401 and wrong.json()["error"] == "unauthorized"
        assert (await rig.http.get("/sessions")).status_code == 401
        made = await rig.http.post("/auth/first-admin", json=body)
        assert made.status_code == 201 and made.json()["user"]["role"] == "admin"
        headers = {"Authorization": f"Bearer {made.json()['access_token']}"}
        assert (await rig.http.get("/sessions", headers=headers)).status_code == 200
        again = await rig.http.post("/auth/first-admin", json={**body, "username": "eve"})
        assert again.status_code == 409
        assert await printed(rig, capsys) == ""


def test_the_key_for_logins_is_not_shown(data_dir: Path) -> None:
    settings = make_settings(data_dir, jwt_secret="x" * 40)
    assert "xxxx" not in repr(settings) and "xxxx" not in settings.model_dump_json()
