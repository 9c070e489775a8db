# SPDX-License-Identifier: Apache-2.0
"""Seed 2's API tokens of the caller, used as `Authorization: Bearer rr_live_…` or `X-API-Key: rr_live_…`."""

from fastapi import APIRouter

from lerobot_arena.bridge.account_models import (
    ApiToken,
    CreateApiTokenRequest,
    CreatedApiToken,
    RevokeAllApiTokensResponse,
    RevokeApiTokenResponse,
    token_fields,
)
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep

router = APIRouter(prefix="/api/api-tokens", tags=["API Tokens"])


@router.get("", operation_id="listApiTokens", summary="List API tokens")
async def list_api_tokens(services: ServicesDep, caller: PrincipalDep) -> list[ApiToken]:
    """The caller's active tokens, newest first; never their secrets."""
    tokens = await services.desk.ask(lambda: services.accounts.tokens.active(caller.name))
    return [ApiToken(**token_fields(token)) for token in tokens]


@router.post("", status_code=201, operation_id="createApiToken", summary="Create an API token")
async def create_api_token(
    body: CreateApiTokenRequest, services: ServicesDep, caller: PrincipalDep
) -> CreatedApiToken:
    """A token for scripts. Its secret is shown in this answer and never again."""
    scopes = set(body.scopes) if body.scopes is not None else None
    token, secret = await services.desk.ask(lambda: services.accounts.create_token(caller, body.name, scopes))
    return CreatedApiToken(**token_fields(token), token=secret)


@router.delete("", operation_id="revokeAllApiTokens", summary="Revoke all API tokens")
async def revoke_all_api_tokens(services: ServicesDep, caller: PrincipalDep) -> RevokeAllApiTokensResponse:
    """End all of the caller's tokens."""
    count = await services.desk.ask(lambda: services.accounts.tokens.revoke_all(caller.name))
    return RevokeAllApiTokensResponse(revokedCount=count)


@router.delete(
    "/{tokenId}",
    operation_id="revokeApiToken",
    summary="Revoke one API token",
    responses={404: {"description": "Token not found"}},
)
async def revoke_api_token(
    tokenId: str, services: ServicesDep, caller: PrincipalDep
) -> RevokeApiTokenResponse:
    """End one of the caller's tokens."""
    await services.desk.ask(lambda: services.accounts.tokens.revoke(caller.name, tokenId))
    return RevokeApiTokenResponse()
