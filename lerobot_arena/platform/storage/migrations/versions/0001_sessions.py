# SPDX-License-Identifier: Apache-2.0
"""Wanted sessions, their rooms and the published generation."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("policy_reference", sa.String, nullable=False),
        sa.Column("arena_server_url", sa.String, nullable=False),
        sa.Column("is_selected", sa.Boolean, nullable=False),
        sa.Column("wanted", sa.String, nullable=False),
        sa.Column("manifest", sa.String, nullable=False),
    )
    op.create_table(
        "session_rooms",
        sa.Column("topic", sa.String(240), primary_key=True),
        sa.Column(
            "session_id",
            sa.String(64),
            sa.ForeignKey("sessions.session_id", ondelete="CASCADE"),
            nullable=False,
        ),
    )
    op.create_table(
        "wanted_generation",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("wanted_generation", "session_rooms", "sessions"):
        op.drop_table(table)
