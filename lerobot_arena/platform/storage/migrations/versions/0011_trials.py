# SPDX-License-Identifier: Apache-2.0
"""Recordings of what ran on a robot."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SIDES = ("left", "right")


def upgrade() -> None:
    """Browser runs have none."""
    for side in _SIDES:
        column = sa.Column(f"{side}_recording", sa.String(200), nullable=False, server_default="")
        op.add_column("matchups", column)


def downgrade() -> None:
    """Forget them."""
    with op.batch_alter_table("matchups") as table:
        for side in _SIDES:
            table.drop_column(f"{side}_recording")
