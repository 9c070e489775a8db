# SPDX-License-Identifier: Apache-2.0
"""Seed 2's dataset uploads: kept whole or not at all, listed to their owner, played by range request."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.platform.datasets.links import LIFE_S
from lerobot_arena.testing.bridge_rig import Rig, open_rig
from lerobot_arena.testing.seed_schemas import check_answer
from lerobot_arena.testing.videos import hostile_videos, mp4

SEED = Path(__file__).with_name("seed2.openapi.json")
UPLOADS = "/api/datasets/uploads"
FIELDS = {"title": "Apartment tabletop demos", "kind": "egocentric_video"}
HOSTILE = hostile_videos()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process makes temporary folders."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
async def anna(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with rig.caller(await rig.user("anna")) as http:
        yield http


async def upload(http: httpx.AsyncClient, *files: tuple[str, bytes], **changes: str | None) -> httpx.Response:
    fields = {key: value for key, value in (FIELDS | changes).items() if value is not None}
    return await http.post(UPLOADS, data=fields, files=[("files", file) for file in files])


async def one(http: httpx.AsyncClient, content: bytes, name: str = "clip.mp4") -> dict[str, Any]:
    answer = await upload(http, (name, content))
    assert answer.status_code == 201, answer.text
    (record,) = answer.json()["items"]
    assert isinstance(record, dict)
    return record


def kept(rig: Rig) -> list[Path]:
    data = rig.services.settings.data_dir
    return [
        path for name in ("blobs/datasets", "uploads") for path in (data / name).rglob("*") if path.is_file()
    ]


def left_in(folder: Path) -> list[Path]:
    return list(folder.glob("arena-*"))


async def test_each_file_becomes_a_record_of_the_seed(rig: Rig, anna: httpx.AsyncClient) -> None:
    answer = await upload(
        anna,
        ("one.mp4", mp4()),
        ("../two three.mp4", mp4(seed=1, codec="mpeg4", fps=10)),
        description="At home",
    )
    assert answer.status_code == 201, answer.text
    check_answer(SEED, "DatasetRecordListEnvelope", answer.json())
    first, second = answer.json()["items"]
    assert (first["owner"], first["title"], first["kind"]) == ("anna", FIELDS["title"], "egocentric_video")
    assert first["description"] == "At home" and first["mimeType"] == "video/mp4"
    assert first["fileKey"] == f"anna/dataset/apartment-tabletop-demos-{first['id']}/one.mp4"
    assert first["video"] == {"duration_s": 1.0, "fps": 20.0, "width": 64, "height": 48, "codec": "h264"}
    assert second["fileName"] == "two_three.mp4" and second["video"]["codec"] == "mpeg4"
    listed = (await anna.get(UPLOADS)).json()
    check_answer(SEED, "DatasetRecordListEnvelope", listed)
    assert sorted(item["id"] for item in listed["items"]) == sorted([first["id"], second["id"]])
    assert not list((rig.services.settings.data_dir / "uploads").iterdir())


async def test_records_are_their_owners_and_an_admins(rig: Rig, anna: httpx.AsyncClient) -> None:
    record = await one(anna, mp4())
    path = urlsplit(record["fileUrl"]).path
    async with rig.caller(await rig.user("eve")) as eve:
        assert (await eve.get(UPLOADS)).json() == {"items": []}
        assert (
            (await eve.get(path)).status_code
            == (await eve.delete(f"{UPLOADS}/{record['id']}")).status_code
            == 404
        )
    async with rig.caller(await rig.user("boss", role="admin")) as boss:
        assert [item["id"] for item in (await boss.get(UPLOADS)).json()["items"]] == [record["id"]]
        assert (await boss.get(path)).status_code == 200
    assert (await anna.get(path)).content == mp4()


async def test_a_video_element_plays_it_in_ranges_without_a_header_until_the_link_ends(
    rig: Rig, anna: httpx.AsyncClient
) -> None:
    film = mp4(frames=60)
    url = (await one(anna, film))["fileUrl"]
    async with rig.caller() as page:
        whole = await page.get(url)
        assert (
            whole.status_code == 200 and whole.content == film and whole.headers["accept-ranges"] == "bytes"
        )
        assert whole.headers["content-type"] == "video/mp4" and "private" in whole.headers["cache-control"]
        part = await page.get(url, headers={"Range": "bytes=100-199"})
        assert part.status_code == 206 and part.content == film[100:200]
        assert part.headers["content-range"] == f"bytes 100-199/{len(film)}"
        assert (await page.get(url, headers={"Range": "bytes=-50"})).content == film[-50:]
        assert (await page.get(url, headers={"Range": f"bytes={len(film)}-"})).status_code == 416
        # The link is for this file and this time; nobody makes one without our key.
        other = (await one(anna, mp4(seed=2)))["fileUrl"]
        assert (await page.get(f"{urlsplit(other).path}?{urlsplit(url).query}")).status_code == 404
        assert (await page.get(url.replace("until=", "until=9"))).status_code == 404
        assert (await page.get(f"{url[:-1]}x")).status_code == 404
        assert (await page.get(urlsplit(url).path)).status_code == 404
        rig.clock.advance(LIFE_S - 1)
        assert (await page.get(url)).status_code == 200
        rig.clock.advance(LIFE_S)
        late = await page.get(url)
        assert late.status_code == 404 and "expired" in late.json()["error"]
    fresh = (await anna.get(UPLOADS)).json()["items"]
    assert url not in {item["fileUrl"] for item in fresh}
    assert fresh == (await anna.get(UPLOADS)).json()["items"], "links stay for a while, or pages load twice"


@pytest.mark.parametrize("name", list(HOSTILE))
async def test_one_bad_file_refuses_them_all_by_name_and_leaves_nothing(
    rig: Rig, anna: httpx.AsyncClient, temporary: Path, name: str
) -> None:
    answer = await upload(anna, ("good.mp4", mp4()), ("bad.mp4", HOSTILE[name]))
    assert answer.status_code == 400, answer.text
    check_answer(SEED, "Error", answer.json())
    said = answer.json()["error"]
    assert said.startswith("bad.mp4: ") and str(rig.services.settings.data_dir) not in said, said
    assert (await anna.get(UPLOADS)).json() == {"items": []} and kept(rig) == []
    assert left_in(temporary) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"title": None}, "title"),
        ({"title": " "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"kind": None}, "kind"),
        ({"kind": "other"}, "egocentric_video"),
        ({"description": "x" * 20_001}, "description"),
    ],
)
async def test_wrong_fields_are_400(
    rig: Rig, anna: httpx.AsyncClient, changes: dict[str, str | None], says: str
) -> None:
    answer = await upload(anna, ("a.mp4", mp4()), **changes)
    assert answer.status_code == 400 and says in answer.json()["error"], answer.text
    check_answer(SEED, "Error", answer.json())
    assert kept(rig) == []


async def test_no_files_empty_files_too_many_and_too_large_ones_are_400(data_dir: Path) -> None:
    async with (
        open_rig(data_dir, dataset_file_max_bytes=5000, dataset_max_bytes=200_000) as rig,
        rig.caller(await rig.user("anna")) as anna,
    ):
        no_file = await anna.post(UPLOADS, data=FIELDS)
        assert no_file.status_code == 400 and "files" in no_file.json()["error"]
        text = await anna.post(UPLOADS, data=FIELDS | {"files": "not a file"})
        assert text.status_code == 400 and "files" in text.json()["error"]
        for files, says in (
            ([("empty.mp4", b"")], "empty.mp4"),
            ([("large.mp4", bytes(5001))], "5000"),
            ([("a.mp4", b"x")] * 51, "50"),
        ):
            answer = await upload(anna, *files)
            assert answer.status_code == 400 and says in answer.json()["error"], answer.text
        whole = await upload(anna, *[(f"{i}.mp4", bytes(50_000)) for i in range(25)])
        assert whole.status_code == 413
        check_answer(SEED, "Error", whole.json())
        assert kept(rig) == []


async def test_without_an_account_nothing_is_listed_or_taken(rig: Rig) -> None:
    for address in ("127.0.0.1", "10.0.0.9"):
        async with rig.caller(address=address) as nobody:
            for answer in (await nobody.get(UPLOADS), await upload(nobody, ("a.mp4", mp4()))):
                assert answer.status_code == 401
                check_answer(SEED, "Error", answer.json())
    async with rig.caller(await rig.user("reader", scopes=["sessions:read"])) as reader:
        assert (await upload(reader, ("a.mp4", mp4()))).status_code == 403


async def test_the_same_film_is_kept_once_and_goes_with_its_last_record(
    rig: Rig, anna: httpx.AsyncClient
) -> None:
    film = mp4()
    first = await one(anna, film)
    async with rig.caller(await rig.user("eve")) as eve:
        second = await one(eve, film)
        assert len(kept(rig)) == 1
        assert (await anna.delete(f"{UPLOADS}/{first['id']}")).status_code == 200
        assert (await eve.get(second["fileUrl"])).content == film
        assert (await eve.delete(f"{UPLOADS}/{second['id']}")).status_code == 200
    assert kept(rig) == [] and (await anna.get(first["fileUrl"])).status_code == 404
    assert (await anna.delete(f"{UPLOADS}/{first['id']}")).status_code == 404


async def test_a_store_that_fails_halfway_leaves_nothing(
    rig: Rig, anna: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = rig.services.published.datasets.blobs
    write, calls = blobs.write_file, []

    def failing(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise Unavailable("The disk is full.")
        return write(*arguments, **named)

    monkeypatch.setattr(blobs, "write_file", failing)
    answer = await upload(anna, ("a.mp4", mp4()), ("b.mp4", mp4(seed=1)))
    assert answer.status_code == 503 and kept(rig) == []
    assert (await anna.get(UPLOADS)).json() == {"items": []}


async def test_the_estop_answers_while_films_are_probed(rig: Rig, anna: httpx.AsyncClient) -> None:
    uploading = asyncio.create_task(upload(anna, *[(f"{i}.mp4", mp4(seed=i)) for i in range(4)]))
    answered = 0
    while not uploading.done():
        async with asyncio.timeout(1.0):
            assert (await rig.http.post("/api/control/estop")).status_code == 200
        answered += 1
    assert (await uploading).status_code == 201 and answered > 3
