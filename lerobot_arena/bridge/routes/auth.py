# SPDX-License-Identifier: Apache-2.0
"""Seed 5's login, and accounts beyond it: tickets, one's password, and for admins the users."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from lerobot_arena.bridge.account_models import (
    FirstAdminRequest,
    LoginAnswer,
    LoginRequest,
    MeAnswer,
    NewUserRequest,
    PasswordRequest,
    TicketAnswer,
    UserAnswer,
    UserChange,
    login_answer,
    user_answer,
)
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.principal import Principal
from lerobot_arena.platform.accounts.accounts import Login
from lerobot_arena.platform.accounts.tickets import TICKET_S
from lerobot_arena.platform.accounts.users import User, Users

router = APIRouter(prefix="/auth", tags=["Accounts"])

UserName = Annotated[str, Path(max_length=100)]


def _welcome(request: Request, login: Login) -> LoginAnswer:
    """The answer to a login, which the audit log files under the one who logged in."""
    user, caller = login.user, request.scope["principal"]
    request.scope["principal"] = Principal(
        user.name, user.scopes, via="login", is_loopback=caller.is_loopback, address=caller.address
    )
    return login_answer(login)


@router.post("/login")
async def log_in(
    body: LoginRequest, request: Request, services: ServicesDep, caller: PrincipalDep
) -> LoginAnswer:
    """A bearer token for an hour. Send it as `Authorization: Bearer <token>`."""
    accounts = services.accounts
    login = await services.desk.ask(lambda: accounts.log_in(body.username, body.password, caller.address))
    return _welcome(request, login)


@router.post("/first-admin", status_code=201)
async def become_first_admin(
    body: FirstAdminRequest, request: Request, services: ServicesDep, caller: PrincipalDep
) -> LoginAnswer:
    """Make the first account, with the secret that the bridge printed where it was started. Works once."""
    accounts = services.accounts
    login = await services.desk.ask(
        lambda: accounts.claim_first_admin(body.secret, body.username, body.password, caller.address)
    )
    return _welcome(request, login)


@router.post("/logout", status_code=204)
async def log_out(services: ServicesDep, caller: PrincipalDep) -> Response:
    """End the login that this is asked with."""
    await services.desk.ask(lambda: services.accounts.log_out(caller))
    return Response(status_code=204)


@router.post("/ticket")
async def get_ticket(services: ServicesDep, caller: PrincipalDep) -> TicketAnswer:
    """A ticket for one WebSocket, as `?ticket=…`: browsers cannot send headers there."""
    ticket = await services.desk.ask(lambda: services.accounts.mint_ticket(caller))
    return TicketAnswer(ticket=ticket, expires_in=int(TICKET_S))


@router.get("/me")
async def who_am_i(services: ServicesDep, caller: PrincipalDep) -> MeAnswer:
    """Who the bridge takes the caller for, and what they may do."""
    role = None
    if caller.is_user:
        role = (await services.desk.ask(lambda: services.accounts.users.get(caller.name))).role
    return MeAnswer(username=caller.name, role=role, scopes=sorted(caller.scopes), via=caller.via)


@router.post("/password", status_code=204)
async def change_password(body: PasswordRequest, services: ServicesDep, caller: PrincipalDep) -> Response:
    """One's own. All of one's logins end, also this one; API tokens stay."""
    accounts = services.accounts
    await services.desk.ask(
        lambda: accounts.change_password(caller, body.old_password, body.new_password, caller.address)
    )
    return Response(status_code=204)


@router.get("/users")
async def list_users(services: ServicesDep) -> list[UserAnswer]:
    """Everybody with an account, by name."""
    return [user_answer(user) for user in await services.desk.ask(services.accounts.users.all)]


@router.post("/users", status_code=201)
async def create_user(body: NewUserRequest, services: ServicesDep) -> UserAnswer:
    """A new account."""
    scopes = set(body.scopes) if body.scopes is not None else None
    user = await services.desk.ask(
        lambda: services.accounts.users.create(body.username, body.password, role=body.role, scopes=scopes)
    )
    return user_answer(user)


@router.patch("/users/{name}")
async def change_user(name: UserName, body: UserChange, services: ServicesDep) -> UserAnswer:
    """Change what is given. The last admin stays one."""
    if not body.model_fields_set:
        raise InvalidInput(f"Nothing to change was given: name one of {', '.join(UserChange.model_fields)}.")
    return user_answer(await services.desk.ask(lambda: _change(services.accounts.users, name, body)))


def _change(users: Users, name: str, body: UserChange) -> User:
    scopes = set(body.scopes) if body.scopes is not None else None
    return users.change(
        name, role=body.role, scopes=scopes, is_disabled=body.disabled, password=body.password
    )


@router.delete("/users/{name}", status_code=204)
async def delete_user(name: UserName, services: ServicesDep) -> Response:
    """Remove an account and its tokens. What it owns stays with its name; `disabled` keeps the name taken."""
    await services.desk.ask(lambda: services.accounts.users.delete(name))
    return Response(status_code=204)
