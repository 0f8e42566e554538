"""Anatomic regions of a study

Studies that were indexed before do not tell theirs until they are indexed anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    several = postgresql.ARRAY(sa.Text())
    op.add_column("studies", sa.Column("regions", several, server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("studies", "regions")
