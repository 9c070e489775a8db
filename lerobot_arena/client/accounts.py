# SPDX-License-Identifier: Apache-2.0
"""Who one is: logins, API tokens, tickets; and for admins the users and what was changed by whom."""

from collections.abc import Sequence
from typing import Any

from lerobot_arena.client import answers
from lerobot_arena.client.address import segment
from lerobot_arena.client.call import READ_TIMEOUT_S, Call, as_list, as_nothing, as_object, get, inside, post
from lerobot_arena.client.endpoint import Group, endpoint

# argon2 takes its time, and more behind others who log in.
_LOGIN_TIMEOUT_S = 30.0


def log_in(username: str, password: str) -> Call[answers.Login]:
    """A login for an hour. Raises Unauthorized, or TooMany after too many wrong ones."""
    body = {"username": username, "password": password}
    return post("/auth/login", as_object, body, timeout_s=_LOGIN_TIMEOUT_S)


def log_out() -> Call[None]:
    """End the login in use."""
    return post("/auth/logout", as_nothing, timeout_s=READ_TIMEOUT_S)


def me() -> Call[answers.Me]:
    """Who the bridge takes us for, and what we may do."""
    return get("/auth/me", as_object)


def ticket() -> Call[answers.Ticket]:
    """A one-time ticket for a WebSocket's `?ticket=`, for programs that cannot send headers."""
    return post("/auth/ticket", as_object, timeout_s=READ_TIMEOUT_S)


def change_password(old_password: str, new_password: str) -> Call[None]:
    """Change one's own password; every login ends."""
    body = {"old_password": old_password, "new_password": new_password}
    return post("/auth/password", as_nothing, body, timeout_s=_LOGIN_TIMEOUT_S)


class Auth[Via](Group[Via]):
    """`Arena.login` and `logout` also keep the login in use; these only ask."""

    log_in = endpoint(log_in)
    log_out = endpoint(log_out)
    me = endpoint(me)
    ticket = endpoint(ticket)
    change_password = endpoint(change_password)


def list_tokens() -> Call[list[answers.ApiToken]]:
    """One's active API tokens, the newest first, without their secrets."""
    return get("/api/api-tokens", as_list)


def create_token(name: str, *, scopes: Sequence[str] | None = None) -> Call[answers.NewApiToken]:
    """A new API token; `token` is its secret, shown this once."""
    body: dict[str, Any] = {"name": name}
    if scopes is not None:
        body["scopes"] = list(scopes)
    return post("/api/api-tokens", as_object, body, timeout_s=READ_TIMEOUT_S)


def revoke_token(token_id: str) -> Call[None]:
    """End one token."""
    return Call("DELETE", f"/api/api-tokens/{segment(token_id)}", as_nothing)


def revoke_tokens() -> Call[int]:
    """End all of one's tokens; how many there were."""
    return Call("DELETE", "/api/api-tokens", inside("revokedCount"))


class Tokens[Via](Group[Via]):
    """Secrets for programs."""

    list = endpoint(list_tokens)
    create = endpoint(create_token)
    revoke = endpoint(revoke_token)
    revoke_all = endpoint(revoke_tokens)


def list_users() -> Call[list[answers.User]]:
    """Everybody with an account."""
    return get("/auth/users", as_list)


def create_user(
    username: str, password: str, *, role: str = "user", scopes: Sequence[str] | None = None
) -> Call[answers.User]:
    """A new account; `role` user or admin. Without `scopes`: all that a user can have."""
    body: dict[str, Any] = {"username": username, "password": password, "role": role}
    if scopes is not None:
        body["scopes"] = list(scopes)
    return post("/auth/users", as_object, body, timeout_s=_LOGIN_TIMEOUT_S)


def change_user(
    username: str,
    *,
    role: str | None = None,
    scopes: Sequence[str] | None = None,
    disabled: bool | None = None,
    password: str | None = None,
) -> Call[answers.User]:
    """Change what is given."""
    given = {
        "role": role,
        "scopes": list(scopes) if scopes is not None else None,
        "disabled": disabled,
        "password": password,
    }
    body = {key: value for key, value in given.items() if value is not None}
    return Call("PATCH", _user(username), as_object, body=body, timeout_s=_LOGIN_TIMEOUT_S)


def delete_user(username: str) -> Call[None]:
    """Remove an account and its tokens."""
    return Call("DELETE", _user(username), as_nothing)


def audit(n: int = 100, *, before: int | None = None) -> Call[answers.Audit]:
    """The newest calls that changed something, by whom; `next_before` asks for older ones."""
    return get("/api/audit", as_object, n=n, before=before)


def _user(username: str) -> str:
    return f"/auth/users/{segment(username)}"


class Users[Via](Group[Via]):
    """Accounts, for admins."""

    list = endpoint(list_users)
    create = endpoint(create_user)
    change = endpoint(change_user)
    delete = endpoint(delete_user)
    audit = endpoint(audit)
