# SPDX-License-Identifier: Apache-2.0
"""Bodies and answers of accounts: seed 5's login, seed 2's API tokens, and what those two leave open."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lerobot_arena.platform.accounts import api_tokens
from lerobot_arena.platform.accounts.accounts import Login
from lerobot_arena.platform.accounts.passwords import MOST_CHARS
from lerobot_arena.platform.accounts.users import User

Name = Annotated[str, Field(max_length=100)]
Password = Annotated[str, Field(max_length=MOST_CHARS)]
Scopes = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=32)]


class LoginRequest(BaseModel):
    username: Name
    password: Password


class FirstAdminRequest(LoginRequest):
    secret: Annotated[str, Field(max_length=200, description="From the link on the bridge's terminal.")]


class PasswordRequest(BaseModel):
    old_password: Password
    new_password: Password


class NewUserRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    username: Name
    password: Password
    role: Literal["admin", "user"] = "user"
    scopes: Scopes | None = Field(None, description="Absent: all that a user can have.")


class UserChange(BaseModel):
    """What is absent stays."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["admin", "user"] | None = None
    scopes: Scopes | None = None
    disabled: bool | None = None
    password: Password | None = Field(None, description="A new one; all logins of the user end.")


class UserAnswer(BaseModel):
    username: str
    role: str
    scopes: list[str]
    disabled: bool
    created_at: datetime


class LoginAnswer(BaseModel):
    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int
    user: UserAnswer


class MeAnswer(BaseModel):
    username: str
    role: str | None
    scopes: list[str]
    via: str = Field(description="local, login, token or ticket")


class TicketAnswer(BaseModel):
    ticket: str
    expires_in: int


class CreateApiTokenRequest(BaseModel):
    name: Annotated[str, Field(max_length=1000)]
    scopes: Scopes | None = Field(
        None, description="No more than the caller's own. Absent: all of those but admin."
    )


class ApiToken(BaseModel):
    id: str
    owner: str
    name: str
    prefix: str
    scopes: list[str]
    createdAt: datetime
    lastUsedAt: datetime | None
    revokedAt: datetime | None


class CreatedApiToken(ApiToken):
    token: str = Field(description="The secret, shown this once.")


class RevokeApiTokenResponse(BaseModel):
    ok: Literal[True] = True


class RevokeAllApiTokensResponse(RevokeApiTokenResponse):
    revokedCount: int = Field(ge=0)


class AuditEntryAnswer(BaseModel):
    id: int
    at: datetime
    who: str
    via: str
    address: str
    method: str
    route: str
    path: str
    status: int


class AuditAnswer(BaseModel):
    entries: list[AuditEntryAnswer]
    next_before: int | None = Field(description="Ask with before= this for older ones.")
    dropped: int = Field(description="Entries lost since the start, as the database could not keep up.")


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as date and time, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def user_answer(user: User) -> UserAnswer:
    """A user as an admin, and the user, see it."""
    return UserAnswer(
        username=user.name,
        role=user.role,
        scopes=sorted(user.scopes),
        disabled=user.is_disabled,
        created_at=moment(user.created_at),
    )


def login_answer(login: Login) -> LoginAnswer:
    """What a client keeps after logging in."""
    return LoginAnswer(
        access_token=login.access_token, expires_in=login.expires_in_s, user=user_answer(login.user)
    )


def token_fields(token: api_tokens.ApiToken) -> dict[str, Any]:
    """Seed 2's ApiToken."""
    used, revoked = token.last_used_at, token.revoked_at
    return {
        "id": token.id,
        "owner": token.owner,
        "name": token.name,
        "prefix": token.prefix,
        "scopes": sorted(token.scopes),
        "createdAt": moment(token.created_at),
        "lastUsedAt": moment(used) if used is not None else None,
        "revokedAt": moment(revoked) if revoked is not None else None,
    }
