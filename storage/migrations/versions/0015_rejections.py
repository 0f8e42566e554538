"""Rejection Notes, and the records that are not shown

What came again before this migration is noted when its pack is indexed anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rejections()
    _rejected()
    _asides()
    conflicts = sa.text("kind = 'conflict'")
    op.create_index("ix_incidents_conflicts", "incidents", ["sop_instance"], postgresql_where=conflicts)


def _rejections() -> None:
    op.create_table(
        "rejections",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("facility_id", sa.Integer(), nullable=False),
        sa.Column("note_uid", sa.Text(), nullable=False),
        sa.Column("study_uids", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("patient_id", sa.Text(), server_default="", nullable=False),
        sa.Column("patient_name", sa.Text(), server_default="", nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("rejected_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_by", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["facility_id"], ["facilities.id"], name=op.f("fk_rejections_facility_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejections")),
        sa.UniqueConstraint("facility_id", "note_uid", name=op.f("uq_rejections_facility_id_note_uid")),
    )
    active = sa.text("state = 'active'")
    op.create_index("ix_rejections_active", "rejections", ["rejected_at"], postgresql_where=active)


def _rejected() -> None:
    op.create_table(
        "rejected",
        sa.Column("rejection_id", sa.BigInteger(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("sop_instance", sa.Text(), nullable=False),
        sa.Column("facility_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["facility_id"], ["facilities.id"], name=op.f("fk_rejected_facility_id")),
        sa.ForeignKeyConstraint(
            ["rejection_id"], ["rejections.id"], name=op.f("fk_rejected_rejection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("rejection_id", "study_uid", "sop_instance", name=op.f("pk_rejected")),
    )
    op.create_index("ix_rejected_sop_instance", "rejected", ["sop_instance", "facility_id"])


def _asides() -> None:
    op.create_table(
        "asides",
        sa.Column("pack_id", sa.Uuid(), nullable=False),
        sa.Column("body_offset", sa.BigInteger(), nullable=False),
        sa.Column("facility_id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("sop_instance", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["facility_id"], ["facilities.id"], name=op.f("fk_asides_facility_id")),
        sa.ForeignKeyConstraint(["pack_id"], ["packs.id"], name=op.f("fk_asides_pack_id")),
        sa.PrimaryKeyConstraint("pack_id", "body_offset", name=op.f("pk_asides")),
    )
    op.create_index("ix_asides_sop_instance", "asides", ["sop_instance", "facility_id"])


def downgrade() -> None:
    op.drop_index("ix_incidents_conflicts", "incidents")
    op.drop_table("asides")
    op.drop_table("rejected")
    op.drop_table("rejections")
