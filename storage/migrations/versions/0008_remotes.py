"""whom a remote's certificate is believed from, and its echo"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("ca", "certificate", "echo_error"):
        op.add_column("remotes", sa.Column(name, sa.Text(), server_default="", nullable=False))
    for name in ("echo_asked_at", "echo_at"):
        op.add_column("remotes", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column("remotes", sa.Column("echo_ms", sa.Integer(), nullable=True))


def downgrade() -> None:
    for name in ("echo_ms", "echo_at", "echo_asked_at", "echo_error", "certificate", "ca"):
        op.drop_column("remotes", name)
