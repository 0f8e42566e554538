"""sending"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_sends_due", table_name="sends", postgresql_where=sa.text("state = 'waiting'"))
    op.create_index(
        "ix_sends_open",
        "sends",
        ["remote_id", "facility_id", "priority", "not_before"],
        unique=False,
        postgresql_where=sa.text("state IN ('waiting', 'running')"),
    )
    op.create_index("ix_sends_series_pk", "sends", ["series_pk"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_sends_series_pk", table_name="sends")
    op.drop_index(
        "ix_sends_open", table_name="sends", postgresql_where=sa.text("state IN ('waiting', 'running')")
    )
    op.create_index(
        "ix_sends_due",
        "sends",
        ["not_before"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
