"""lanes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("packs", sa.Column("urgent", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "ix_packs_lanes",
        "packs",
        ["facility_id", "urgent", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'shipped'"),
    )


def downgrade() -> None:
    op.drop_index("ix_packs_lanes", table_name="packs", postgresql_where=sa.text("state = 'shipped'"))
    op.drop_column("packs", "urgent")
