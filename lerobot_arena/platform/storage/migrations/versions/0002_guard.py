# SPDX-License-Identifier: Apache-2.0
"""Boundaries, tasks, and the risk log."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "boundaries",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("config", sa.String, nullable=False),
    )
    op.create_table(
        "tasks",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("config", sa.String, nullable=False),
    )
    op.create_table(
        "guard_config_version",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "risk_events",
        sa.Column("event_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("timestamp", sa.Float, nullable=False),
        sa.Column("arm", sa.String(256), nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("risk", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("failure_type", sa.String(32), nullable=False),
        sa.Column("total_latency_ms", sa.Float, nullable=False),
        sa.Column("body", sa.String, nullable=False),
        # Ids are never given out twice, also after the newest events were deleted.
        sqlite_autoincrement=True,
    )
    op.create_index("ix_risk_events_timestamp", "risk_events", ["timestamp"])


def downgrade() -> None:
    """Drop them."""
    for table in ("risk_events", "guard_config_version", "tasks", "boundaries"):
        op.drop_table(table)
