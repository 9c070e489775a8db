# SPDX-License-Identifier: Apache-2.0
"""Recording on and off over REST."""

from lerobot_arena.testing.bridge_fake_recorder import SESSION_ID
from lerobot_arena.testing.bridge_rig import Rig


async def test_verbs_reach_the_recorder_and_say_what_came_of_them(rig: Rig) -> None:
    refused = await rig.http.post("/api/recorder/stop")
    assert (refused.status_code, refused.json()["detail"]) == (409, "Nothing is being recorded.")
    started = await rig.http.post("/api/recorder/start", params={"arm": "arm"})
    assert started.json() == {"arm": "arm", "verb": "start", "session_id": SESSION_ID}
    assert (await rig.http.post("/api/recorder/start")).status_code == 409
    status = (await rig.http.get("/api/recorder/status")).json()
    assert (status["state"], status["session_id"], status["dropped"]) == ("recording", SESSION_ID, {})
    assert set((await rig.http.post("/api/recorder/split")).json()) == {"arm", "verb", "filename"}
    assert (await rig.http.post("/api/recorder/snapshot")).status_code == 200
    assert (await rig.http.post("/api/recorder/stop")).json()["session_id"] == SESSION_ID
    assert rig.fake.calls[-1] == ("arm", "record_stop")


async def test_unknown_arms_verbs_and_dead_recorders_are_told(rig: Rig) -> None:
    assert (await rig.http.post("/api/recorder/start", params={"arm": "nope"})).status_code == 404
    assert (await rig.http.post("/api/recorder/erase")).status_code == 422
    rig.fake.recorders.dead.add("arm")
    for answer in (await rig.http.post("/api/recorder/start"), await rig.http.get("/api/recorder/status")):
        assert answer.status_code == 503 and "running" in answer.json()["detail"]


async def test_a_foreign_page_cannot_stop_a_recording(rig: Rig) -> None:
    answer = await rig.http.post("/api/recorder/stop", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
