"""What SQL holds of who is who: what patients are compared by, and each step that made a person of them.

No DICOM file and no row of a study is changed by any of it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.index.columns import identity, metadata, moment, owner, words
from storage.index.tables import patients


def _patient(name: str = "patient_pk", *, primary: bool = True) -> Column[int]:
    """Of a row that is gone with its patient."""
    return Column(
        name, BigInteger, ForeignKey(patients.c.id, ondelete="CASCADE"), primary_key=primary, nullable=False,
        autoincrement=False,
    )  # fmt: skip


# A patient as it was compared last. `told` is what images say beyond the columns of `patients`, `heard` a hash of all
# that they say: the row is due again where that has changed.
identities = Table(
    "identities", metadata,
    _patient(),
    owner(),
    Column("told", JSONB, nullable=False, server_default="{}"),  # phone, identifiers
    Column("heard", BigInteger, nullable=False, server_default="0"),
    words("patient_name"),
    Column("birth_date", Date),
    words("sex"),
    words("phone"),
    Column("resident", LargeBinary, nullable=False, server_default=text("''::bytea")),  # HMAC-SHA-256
    words("resident_masked"),
    Column("cards", ARRAY(LargeBinary), nullable=False, server_default="{}"),  # HMAC-SHA-256 of health cards
    Column("reused", Boolean, nullable=False, server_default=text("false")),  # its ID belonged to two people
    Column("due_at", DateTime(timezone=True)),  # to be compared; NULL: it was
    Column("matched_at", DateTime(timezone=True)),
    Index("ix_identities_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
)  # fmt: skip

# Blocking keys (pacs.identity.keys): patients that share one are compared.
match_keys = Table(
    "match_keys", metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    _patient(),
    owner(),
    Index("ix_match_keys_patient_pk", "patient_pk"),
)  # fmt: skip

# What a hospital's system says of an ID (HL7 ADT): it counts before what images say, and the files stay as they are.
demographics = Table(
    "demographics", metadata,
    identity(),
    owner(),
    Column("patient_id", Text, nullable=False),
    words("issuer"),
    words("patient_name"),
    Column("birth_date", Date),
    words("sex"),
    words("phone"),
    Column("identifiers", JSONB, nullable=False, server_default="[]"),  # kind, hash, as it is shown
    Column("merged_into", BigInteger, ForeignKey("demographics.id")),  # A40: this ID is that one's patient
    moment("updated_at"),
    UniqueConstraint("facility_id", "patient_id", "issuer"),
    Index("ix_demographics_merged_into", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
)  # fmt: skip

# Each step, with what it changed: a patient moved from one person to another, or a row of `demographics` corrected.
# Steps of one batch are undone together. A step that was undone stays, with the step that undid it.
link_events = Table(
    "link_events", metadata,
    identity(),
    owner(),
    Column("batch", BigInteger, nullable=False),  # the id of its first step
    Column("kind", Text, nullable=False),  # link, unlink, merge, correct, undo
    Column("patient_pk", BigInteger),  # also of patients that are gone
    Column("other_pk", BigInteger),  # the patient that it was linked with
    Column("demographics_id", BigInteger),
    Column("from_person", BigInteger),
    Column("to_person", BigInteger),
    Column("before", JSONB),  # of a correction
    Column("bits", Float),
    words("why"),
    words("actor"),  # empty: it was done by comparison
    moment("created_at"),
    Column("undone_by", BigInteger),  # the batch that undid it
    Index("ix_link_events_batch", "batch"),
    Index("ix_link_events_patient_pk", "patient_pk"),
    Index("ix_link_events_demographics_id", "demographics_id",
          postgresql_where=text("demographics_id IS NOT NULL")),
)  # fmt: skip

# Pairs for a human, the smaller key first; and what was decided, which later comparisons respect.
reviews = Table(
    "reviews", metadata,
    _patient("low_pk"),
    _patient("high_pk"),
    Column("state", Text, nullable=False, server_default="open"),  # open, accepted, refused
    Column("bits", Float),
    words("why"),
    words("decided_by"),
    moment("created_at"),
    Column("decided_at", DateTime(timezone=True)),
    Index("ix_reviews_high_pk", "high_pk"),
    Index("ix_reviews_open", "bits", "low_pk", "high_pk", postgresql_where=text("state = 'open'")),
)  # fmt: skip
