# SPDX-License-Identifier: Apache-2.0
"""Who stopped a room: its e-stop stays latched over a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Empty: it is not latched."""
    op.add_column("rooms", sa.Column("latched_by", sa.String(100), nullable=False, server_default=""))


def downgrade() -> None:
    """Forget it."""
    with op.batch_alter_table("rooms") as table:
        table.drop_column("latched_by")
