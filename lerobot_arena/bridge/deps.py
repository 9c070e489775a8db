# SPDX-License-Identifier: Apache-2.0
"""What routes take as arguments."""

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import HTTPConnection

from lerobot_arena.bridge.services import Services
from lerobot_arena.bridge.sight import Sight
from lerobot_arena.core.principal import ANONYMOUS, Principal


def _services(connection: HTTPConnection) -> Services:
    services = connection.app.state.services
    assert isinstance(services, Services)
    return services


ServicesDep = Annotated[Services, Depends(_services)]


def _principal(connection: HTTPConnection) -> Principal:
    principal = connection.scope.get("principal", ANONYMOUS)
    assert isinstance(principal, Principal)
    return principal


PrincipalDep = Annotated[Principal, Depends(_principal)]
"""Who asks, as bridge/border.py found out before the body was read."""


def _sight(services: ServicesDep, caller: PrincipalDep) -> Sight:
    return services.sight(caller)


SightDep = Annotated[Sight, Depends(_sight)]
"""What the caller may know of sessions and arms."""
ArmQuery = Annotated[
    str | None,
    Query(max_length=256, description="Namespace of the arm; may be left out when there is only one."),
]
