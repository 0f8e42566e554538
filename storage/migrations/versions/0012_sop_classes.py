"""SOP classes of a study

Studies that were indexed before do not tell theirs: they are in the contents alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    several = postgresql.ARRAY(sa.Text())
    op.add_column("studies", sa.Column("sop_classes", several, server_default="{}", nullable=False))
    op.create_index(
        "ix_studies_sop_classes", "studies", ["sop_classes"], unique=False, postgresql_using="gin"
    )


def downgrade() -> None:
    op.drop_index("ix_studies_sop_classes", table_name="studies", postgresql_using="gin")
    op.drop_column("studies", "sop_classes")
