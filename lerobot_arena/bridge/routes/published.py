# SPDX-License-Identifier: Apache-2.0
"""What is published here: lists, search, one item, its versions and files; and deleting one's own."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from lerobot_arena.bridge.byte_range import byte_range
from lerobot_arena.bridge.catalog_answers import listed, manifest
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.policy_source import CatalogReference
from lerobot_arena.bridge.services import Services
from lerobot_arena.bridge.session_book import BookedSession
from lerobot_arena.core.errors import Conflict, NotFound
from lerobot_arena.core.principal import Principal
from lerobot_arena.platform.catalog.item import CHECKPOINT, POLICY, ROBOT, SCENE

router = APIRouter(prefix="/api/catalog", tags=["Catalog"])

_MEDIA = {"glb": "model/gltf-binary", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg",
          "zip": "application/zip", "mp4": "video/mp4"}  # fmt: skip
_FOREVER = "public, max-age=31536000, immutable"


class Kinds(StrEnum):
    """As paths have them."""

    policies = "policies"
    robots = "robots"
    scenes = "scenes"
    checkpoints = "checkpoints"

    @property
    def kind(self) -> str:
        """As items have it."""
        kinds = {"policies": POLICY, "robots": ROBOT, "scenes": SCENE, "checkpoints": CHECKPOINT}
        return kinds[self.value]


Slug = Annotated[str, Path(max_length=200)]
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@router.get("/files/{sha256}/{name}", response_class=StreamingResponse)
async def get_file(
    sha256: Sha256,
    name: Slug,
    services: ServicesDep,
    requested: Annotated[str | None, Header(alias="Range", max_length=100)] = None,
) -> Response:
    """A published file; ranges as browsers ask for them. A path always has the same bytes."""
    published = services.published
    media = _MEDIA.get(name.rsplit(".", 1)[-1].lower(), "application/octet-stream")

    def work() -> Response:
        if not published.shelf.has_file(sha256):
            raise NotFound("There is no such file.")
        size = published.blobs.size(sha256)
        part = byte_range(requested, size)
        if part is None:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
        headers = {**part.headers(), "ETag": f'"{sha256}"', "Cache-Control": _FOREVER}
        blocks = published.blobs.read(sha256, part.begin, part.end)
        return StreamingResponse(blocks, 206 if part.is_part else 200, headers, media)

    return await published.desk.ask(work)


def _sessions_of(services: Services, ref: str) -> list[BookedSession]:
    """Sessions whose policy is a version of this checkpoint."""
    found = []
    for session in services.book.all():
        reference = CatalogReference.parse(session.record.policy_reference)
        if reference is not None and reference.ref == ref:
            found.append(session)
    return found


def _check_no_session(services: Services, ref: str, caller: Principal) -> None:
    """Raises Conflict, which names sessions only to those who may see them: trials are blind."""
    sessions = _sessions_of(services, ref)
    seen = [one.wanted.session_id for one in sessions if caller.sees(one.record.owner)]
    if seen:
        raise Conflict(f"Checkpoint {ref} drives session {seen[0]}: delete that first.")
    if sessions:
        raise Conflict(f"A session of somebody else uses checkpoint {ref}: try again when it has ended.")


@router.get("/{kinds}", response_model=dict[str, Any])
async def list_items(
    kinds: Kinds,
    request: Request,
    services: ServicesDep,
    owner: Annotated[str | None, Query(max_length=64)] = None,
    q: Annotated[str, Query(max_length=200, description="Words to look for.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    skip: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """Newest versions, last updated first."""
    published, root = services.published, str(request.base_url)
    return await published.desk.ask(
        lambda: listed(published.shelf.list(kinds.kind, owner=owner, text=q, limit=limit, skip=skip), root)
    )


@router.get("/{kinds}/{owner}/{slug:path}/versions", response_model=dict[str, Any])
async def list_versions(
    kinds: Kinds, owner: Slug, slug: Slug, request: Request, services: ServicesDep
) -> Response:
    """All versions, newest first."""
    published, root = services.published, str(request.base_url)
    return await published.desk.ask(
        lambda: listed(published.shelf.versions(kinds.kind, f"{owner}/{slug}"), root)
    )


@router.get("/{kinds}/{owner}/{slug:path}")
async def get_item(
    kinds: Kinds,
    owner: Slug,
    slug: Slug,
    request: Request,
    services: ServicesDep,
    version: Annotated[int | None, Query(ge=1, le=10**9)] = None,
) -> dict[str, Any]:
    """One item."""
    published = services.published
    item = await published.desk.ask(lambda: published.shelf.get(kinds.kind, f"{owner}/{slug}", version))
    return {"manifest": manifest(item, str(request.base_url))}


@router.delete("/{kinds}/{owner}/{slug:path}")
async def delete_item(
    kinds: Kinds, owner: Slug, slug: Slug, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Delete one's own item with all its versions. 409 while something needs it."""
    published, ref = services.published, f"{owner}/{slug}"
    if owner != caller.name and not caller.is_admin:
        raise NotFound(f"You have no {kinds.kind} {ref[:200]!r}.")
    if kinds.kind == CHECKPOINT:
        _check_no_session(services, ref, caller)

    def work() -> None:
        if kinds.kind in {POLICY, CHECKPOINT} and published.is_in_use(kinds.kind, ref):
            raise Conflict(f"{kinds.kind.capitalize()} {ref} is deployed: delete its deployments first.")
        published.checkpoints.forget(published.publisher.delete(kinds.kind, ref))

    await published.desk.ask(work)
    published.renew_table()
    return {"ok": True}
