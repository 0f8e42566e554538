"""The audit trail: entries that hold each other, and a fence around them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

REFUSE = """
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    texts = (
        "service",
        "action",
        "outcome",
        "who",
        "role",
        "facility",
        "purpose",
        "address",
        "ae_title",
        "asked",
    )
    arrays = ("studies", "owners", "issuers", "patient_ids")
    op.create_table(
        "audit",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("journal", sa.LargeBinary(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        *(sa.Column(name, postgresql.ARRAY(sa.Text()), nullable=False) for name in arrays),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_audit"),
        sa.UniqueConstraint("journal", "number", name="uq_audit_journal_number"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_who", "audit", ["who", "position"])
    op.create_index("ix_audit_studies", "audit", ["studies"], postgresql_using="gin")
    op.create_index("ix_audit_patient_ids", "audit", ["patient_ids"], postgresql_using="gin")
    op.create_table(
        "audit_sent",
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("receiver", name="pk_audit_sent"),
    )
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER audit_rows BEFORE UPDATE OR DELETE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
    )
    op.execute(
        "CREATE TRIGGER audit_table BEFORE TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
    )


def downgrade() -> None:
    op.drop_table("audit_sent")
    op.drop_table("audit")
    op.execute("DROP FUNCTION audit_is_append_only()")
