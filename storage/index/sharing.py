"""What SQL holds of sharing: what each facility shares, to whom studies were opened, and what keeps them closed.

Patients are referred to by their row, which therefore stays as long as somebody's word about it does; studies by owner
and UID, since their rows come and go with what they hold. All of it is in force from `since` until before `until`; what
is taken back ends now.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from storage.index.columns import identity, metadata, moment, owner, words


def _about() -> tuple[Column[Any], ...]:
    """What it is about, a study or a patient of the facility, and since when by whom."""
    return (
        words("study_uid"),
        Column("patient_pk", BigInteger, ForeignKey("patients.id")),
        words("reason"),
        moment("since"),
        Column("made_by", Text, nullable=False),
        words("ended_by"),
    )


def _checks(name: str, by: str = "btree") -> tuple[CheckConstraint, Index, Index, Index]:
    """`by`: how what it is about is looked for."""
    one = "(study_uid <> '') <> (patient_pk IS NOT NULL)"
    return (
        CheckConstraint(one, name=f"ck_{name}_about"),
        Index(
            f"ix_{name}_study_uid", "study_uid", postgresql_using=by, postgresql_where=text("study_uid <> ''")
        ),
        Index(
            f"ix_{name}_patient_pk",
            "patient_pk",
            postgresql_using=by,
            postgresql_where=text("patient_pk IS NOT NULL"),
        ),
        Index(f"ix_{name}_facility_id", "facility_id", "id"),
    )


def _until(*, needed: bool) -> Column[Any]:
    return Column("until", DateTime(timezone=True), nullable=not needed)


# `pacs.sharing.Policy`. A facility without a row shares nothing.
sharing_policies = Table(
    "sharing_policies", metadata,
    Column("facility_id", Integer, ForeignKey("facilities.id"), primary_key=True, autoincrement=False),
    Column("scope", Text, nullable=False, server_default="none"),  # none, registered, region
    Column("modalities", ARRAY(Text), nullable=False, server_default="{}"),
    Column("sensitive_body_parts", ARRAY(Text), nullable=False, server_default="{}"),
    moment("updated_at"),
    words("updated_by"),
)  # fmt: skip

# `pacs.sharing.Grant`; of an emergency also who took note of it.
grants = Table(
    "grants", metadata,
    identity(),
    owner(),
    *_about(),
    Column("kind", Text, nullable=False),
    _until(needed=True),
    Column("to_facility_id", Integer, ForeignKey("facilities.id")),
    Column("to_department_id", BigInteger, ForeignKey("departments.id")),
    Column("to_user_id", BigInteger, ForeignKey("users.id")),
    Column("sensitive", Boolean, nullable=False, server_default=text("false")),
    Column("noted_at", DateTime(timezone=True)),
    words("noted_by"),
    CheckConstraint("num_nonnulls(to_facility_id, to_department_id, to_user_id) = 1", name="ck_grants_to"),
    Index("ix_grants_to_facility_id", "to_facility_id", "until", postgresql_where=text("to_facility_id IS NOT NULL")),
    Index("ix_grants_to_department_id", "to_department_id", "until",
          postgresql_where=text("to_department_id IS NOT NULL")),
    Index("ix_grants_to_user_id", "to_user_id", "until", postgresql_where=text("to_user_id IS NOT NULL")),
    *_checks("grants"),
)  # fmt: skip

# What keeps studies closed: objection, absolute (an objection that holds in an emergency too), sensitive, embargo.
restrictions = Table(
    "restrictions", metadata,
    identity(),
    owner(),
    *_about(),
    Column("kind", Text, nullable=False),
    _until(needed=False),
    # Also for the patients of other facilities who were found to be the same person.
    Column("everywhere", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("NOT everywhere OR patient_pk IS NOT NULL", name="ck_restrictions_everywhere"),
    Index("ix_restrictions_everywhere", "patient_pk", postgresql_where=text("everywhere")),
    *_checks("restrictions", by="hash"),  # for each study of a list, of which few have any
)  # fmt: skip

# Studies of one patient that somebody without an account may see, who holds the link.
share_links = Table(
    "share_links", metadata,
    identity(),
    owner(),
    Column("patient_pk", BigInteger, ForeignKey("patients.id"), nullable=False),
    Column("study_uids", ARRAY(Text), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("code_hash", LargeBinary),  # of the secret and the code together; none where there is no code
    _until(needed=True),
    moment("since"),
    Column("made_by", Text, nullable=False),
    words("ended_by"),
    Column("opened_at", DateTime(timezone=True)),  # the last time
    Index("ix_share_links_facility_id", "facility_id", "id"),
    Index("ix_share_links_patient_pk", "patient_pk"),
)  # fmt: skip
