# SPDX-License-Identifier: Apache-2.0
"""Who one is: logins, API tokens, tickets; and for admins the users."""

from collections.abc import Sequence
from typing import Any

from lerobot_arena.client import answers
from lerobot_arena.client.address import segment
from lerobot_arena.client.call import READ_TIMEOUT_S, Answer, Call, as_nothing, as_object, get, post
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


def me() -> Call[dict[str, Any]]:
    """Who the bridge takes us for, and what we may do."""
    return get("/auth/me", as_object)


def ticket(audience: str | None = None) -> Call[answers.Ticket]:
    """A one-time ticket for a WebSocket's `?ticket=`, for programs that cannot send headers."""
    body = {"audience": audience} if audience else {}
    return post("/auth/ticket", as_object, body, timeout_s=READ_TIMEOUT_S)


def change_password(current_password: str, new_password: str) -> Call[None]:
    """Change one's own password; every login ends."""
    body = {"current_password": current_password, "new_password": new_password}
    return post("/auth/password", as_nothing, body, timeout_s=_LOGIN_TIMEOUT_S)


def list_tokens() -> Call[list[dict[str, Any]]]:
    """One's active API tokens, without their secrets."""
    return get("/api/api-tokens", _tokens)


def create_token(name: str, *, scopes: Sequence[str] | None = None) -> Call[dict[str, Any]]:
    """A new API token; `token` is its secret, shown this once."""
    body: dict[str, Any] = {"name": name}
    if scopes is not None:
        body["scopes"] = list(scopes)
    return post("/api/api-tokens", as_object, body, timeout_s=READ_TIMEOUT_S)


def revoke_token(token_id: str) -> Call[None]:
    """End one token."""
    return Call("DELETE", f"/api/api-tokens/{segment(token_id)}", as_nothing)


def revoke_tokens() -> Call[None]:
    """End all of one's tokens."""
    return Call("DELETE", "/api/api-tokens", as_nothing)


def list_users() -> Call[list[dict[str, Any]]]:
    """All users; for admins."""
    return get("/auth/users", _users)


def _tokens(answer: Answer) -> list[dict[str, Any]]:
    return _listed(answer, "tokens")


def _users(answer: Answer) -> list[dict[str, Any]]:
    return _listed(answer, "users")


def _listed(answer: Answer, key: str) -> list[dict[str, Any]]:
    content = answer.json()
    found = content.get(key) if isinstance(content, dict) else content
    if not isinstance(found, list):
        raise ValueError(f"no {key!r}")
    return found


class Auth[Via](Group[Via]):
    """`Arena.login` and `logout` also keep the token; these only ask."""

    log_in = endpoint(log_in)
    log_out = endpoint(log_out)
    me = endpoint(me)
    ticket = endpoint(ticket)
    change_password = endpoint(change_password)
    users = endpoint(list_users)


class Tokens[Via](Group[Via]):
    """Secrets for programs."""

    list = endpoint(list_tokens)
    create = endpoint(create_token)
    revoke = endpoint(revoke_token)
    revoke_all = endpoint(revoke_tokens)
