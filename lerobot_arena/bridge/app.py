# SPDX-License-Identifier: Apache-2.0
"""The FastAPI app: a fold of the routers below over one set of services. No ROS, no globals."""

import importlib

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from lerobot_arena.bridge import access, description, docs_page, errors
from lerobot_arena.bridge.border import Border
from lerobot_arena.bridge.crossings import Crossings
from lerobot_arena.bridge.origin import OriginGuard
from lerobot_arena.bridge.rate_limit import RateLimits
from lerobot_arena.bridge.routes import runs, ui
from lerobot_arena.bridge.secure_headers import SecureHeaders
from lerobot_arena.bridge.services import Services
from lerobot_arena.bridge.size_limit import SizeLimit

# Modules of bridge/routes; each has a `router`.
ROUTES = (
    "health", "sessions", "control", "debug", "arms", "runtime", "boundaries", "telemetry", "recorder",
    "recordings", "recorded_risk", "risk_log", "metrics", "auth", "api_tokens", "audit", "arena", "leaderboard",
    "publish", "checkpoints", "published", "datasets", "runs", "deployments", "rooms_robotics", "rooms_video", "ui",
)  # fmt: skip
# The hosted layout of the original server has these below /api as well.
ALSO_BELOW_API = ("sessions", "control", "debug", "health", "recordings", "rooms_robotics", "rooms_video")


def create_app(services: Services) -> FastAPI:
    """The app over opened services."""
    app = FastAPI(
        title=description.TITLE,
        summary=description.SUMMARY,
        version=description.VERSION,
        description=description.DESCRIPTION,
        contact=description.CONTACT,
        license_info=description.LICENSE,
        servers=description.SERVERS,
        openapi_tags=description.TAGS,
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    for name in ROUTES:
        router = importlib.import_module(f"lerobot_arena.bridge.routes.{name}").router
        app.include_router(router)
        if name in ALSO_BELOW_API:
            app.include_router(router, prefix="/api", include_in_schema=False)
    ui.mount(app)
    docs_page.add_docs(app)
    runs.add_last(app)
    description.describe(app)
    errors.register(app)
    _guard_the_border(app, services)
    return app


def _guard_the_border(app: FastAPI, services: Services) -> None:
    """Middleware; the last one added sees a request first."""
    settings = services.settings
    app.add_middleware(SizeLimit)
    app.add_middleware(
        Border,
        routes=app,
        access=access.table(access.with_uploads(settings.upload_limits)),
        callers=services.callers,
        limits=RateLimits(
            address=settings.rate_limit_address,
            identity=settings.rate_limit_identity,
            failures=settings.rate_limit_failures,
        ),
        note=Crossings(services.audit, services.board.clock).note,
        sockets=services.sockets,
        behind_proxy=settings.behind_proxy,
    )
    app.add_middleware(errors.LastResort)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "WWW-Authenticate", "Content-Disposition"],
        )
    app.add_middleware(
        OriginGuard,
        hosts=settings.own_names,
        origins=settings.allowed_origins,
        any_address=settings.is_beyond_loopback,
    )
    app.add_middleware(SecureHeaders)
