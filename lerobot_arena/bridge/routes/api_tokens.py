# SPDX-License-Identifier: Apache-2.0
"""Seed 2's API tokens of the caller, used as `Authorization: Bearer rr_live_…` or `X-API-Key: rr_live_…`."""

from fastapi import APIRouter

from lerobot_arena.bridge.account_models import (
    AllRevokedAnswer,
    ApiTokenAnswer,
    CreateApiTokenRequest,
    CreatedApiTokenAnswer,
    RevokedAnswer,
    token_fields,
)
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep

router = APIRouter(prefix="/api/api-tokens", tags=["API Tokens"])


@router.get("", summary="List API tokens")
async def list_api_tokens(services: ServicesDep, caller: PrincipalDep) -> list[ApiTokenAnswer]:
    """The caller's active tokens, newest first; never their secrets."""
    tokens = await services.desk.ask(lambda: services.accounts.tokens.active(caller.name))
    return [ApiTokenAnswer(**token_fields(token)) for token in tokens]


@router.post("", status_code=201, summary="Create an API token")
async def create_api_token(
    body: CreateApiTokenRequest, services: ServicesDep, caller: PrincipalDep
) -> CreatedApiTokenAnswer:
    """A token for scripts. Its secret is shown in this answer and never again."""
    scopes = set(body.scopes) if body.scopes is not None else None
    token, secret = await services.desk.ask(lambda: services.accounts.create_token(caller, body.name, scopes))
    return CreatedApiTokenAnswer(**token_fields(token), token=secret)


@router.delete("", summary="Revoke all API tokens")
async def revoke_all_api_tokens(services: ServicesDep, caller: PrincipalDep) -> AllRevokedAnswer:
    """End all of the caller's tokens."""
    count = await services.desk.ask(lambda: services.accounts.tokens.revoke_all(caller.name))
    return AllRevokedAnswer(revokedCount=count)


@router.delete("/{tokenId}", summary="Revoke one API token")
async def revoke_api_token(tokenId: str, services: ServicesDep, caller: PrincipalDep) -> RevokedAnswer:
    """End one of the caller's tokens."""
    await services.desk.ask(lambda: services.accounts.tokens.revoke(caller.name, tokenId))
    return RevokedAnswer()
