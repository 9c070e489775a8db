# SPDX-License-Identifier: Apache-2.0
"""Whose a session is; those from before belong to the person at the machine."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("sessions", sa.Column("owner", sa.String(64), nullable=False, server_default="local"))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("sessions") as table:
        table.drop_column("owner")
