# SPDX-License-Identifier: Apache-2.0
"""Matchups and votes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "matchups",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("unlock_at", sa.Float, nullable=True),
        sa.Column("error", sa.String(500), nullable=False),
        sa.Column("ready", sa.String(16), nullable=False),
        sa.Column("robot", sa.String(300), nullable=False),
        sa.Column("robot_content", sa.String(64), nullable=False),
        sa.Column("scene", sa.String(300), nullable=False),
        sa.Column("scene_content", sa.String(64), nullable=False),
        *(
            sa.Column(f"{side}_{name}", sa.String(length), nullable=False)
            for side in ("left", "right")
            for name, length in (("policy", 300), ("title", 200), ("simulation", 40), ("content", 64))
        ),
    )
    op.create_table(
        "votes",
        sa.Column(
            "matchup_id", sa.String(40), sa.ForeignKey("matchups.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("voter", sa.String(32), primary_key=True),
        sa.Column("voter_kind", sa.String(16), nullable=False),
        sa.Column("winner", sa.String(16), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("evidence", sa.String(1000), nullable=False),
    )
    op.create_index("votes_by_voter", "votes", ["voter", "at"])


def downgrade() -> None:
    """Drop them."""
    for table in ("votes", "matchups"):
        op.drop_table(table)
