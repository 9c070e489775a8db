# SPDX-License-Identifier: Apache-2.0
"""First segments of the server's own paths. A run is at /{owner}/{slug}, so no owner may be called like one of them.

test/bridge/test_runs.py compares with the routes there are.
"""

ROUTE_SEGMENTS = frozenset(
    {
        "api",
        "arena",
        "auth",
        "debug",
        "deployments",
        "docs",
        "health",
        "leaderboard",
        "mcap",
        "metrics",
        "models",
        "monitoring",
        "openapi.json",
        "optimize",
        "robotics",
        "sessions",
        "ui",
        "v1",
        "video",
        "ws",
    }
)
