"""What SQL holds: who and what people search for, and where the bytes are (docs/ARCHITECTURE.md).

Nothing here grows by more than one narrow row an instance. The facility stands on every row.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Select,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.index.columns import count, identity, metadata, moment, owner, words

facilities = Table(
    "facilities", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    words("name_en"),
    words("tier"),
    words("grade"),
    moment("created_at"),
)  # fmt: skip

departments = Table(
    "departments", metadata,
    identity(),
    owner(),
    Column("code", Text, nullable=False),
    words("name"),
    words("name_en"),
    moment("created_at"),
    UniqueConstraint("facility_id", "code"),
)  # fmt: skip


def facility_key(code: str | None) -> Select[int]:
    """The key of the facility with this code; no row where there is none."""
    return select(facilities.c.id).where(facilities.c.code == code)


users = Table(
    "users", metadata,
    identity(),
    Column("name", Text, nullable=False, unique=True),
    words("display_name"),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("facility_id", Integer, ForeignKey("facilities.id")),
    Column("department_id", BigInteger, ForeignKey("departments.id")),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    moment("created_at"),
)  # fmt: skip

devices = Table(
    "devices", metadata,
    identity(),
    owner(),
    Column("ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),  # an address or a network (CIDR)
    words("description"),
    words("charset"),  # overrides what the device declares
    Column("roles", ARRAY(Text), nullable=False, server_default="{store,query,retrieve,worklist}"),
    Column("syntaxes", ARRAY(Text), nullable=False, server_default="{}"),  # transfer syntaxes, the preferred first
    words("certificate"),  # SHA-256 of the client certificate it must show over TLS, in hexadecimal digits
    Column("associations_max", Integer),
    Column("emergency", Boolean, nullable=False, server_default=text("false")),  # its images go first
    moment("created_at"),
    UniqueConstraint("ae_title", "address"),
)  # fmt: skip

# Whom patients of several facilities were found to be. A patient is what one facility knows: issuer and ID.
persons = Table(
    "persons", metadata,
    identity(),
    moment("created_at"),
)  # fmt: skip

patients = Table(
    "patients", metadata,
    identity(),
    owner(),
    words("issuer"),
    words("patient_id"),
    words("patient_name"),  # PN as DICOM writes it, component groups parted by "="
    Column("birth_date", Date),
    words("sex"),
    moment("updated_at"),
    # Without a PatientID two people must not become one: the name then tells them apart.
    Column("anonymous_name", Text, nullable=False, server_default=""),
    Column("person_pk", BigInteger, ForeignKey("persons.id")),  # NULL: linked with nobody
    UniqueConstraint("facility_id", "issuer", "patient_id", "anonymous_name"),
    Index("ix_patients_person", "person_pk", postgresql_where=text("person_pk IS NOT NULL")),
)  # fmt: skip

studies = Table(
    "studies", metadata,
    identity(),
    owner(),
    Column("patient_pk", BigInteger, ForeignKey("patients.id"), nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("study_date", Date),
    Column("study_time", Time),
    # The list's order without NULLs, so that a page far down costs what the first one costs.
    Column("sort_date", Date, Computed("coalesce(study_date, DATE '0001-01-01')", persisted=True), nullable=False),
    words("accession"),
    words("study_id"),
    words("description"),
    words("referring"),
    Column("modalities", ARRAY(Text), nullable=False, server_default="{}"),
    Column("sop_classes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("regions", ARRAY(Text), nullable=False, server_default="{}"),  # code items, as JSON
    Column("body_parts", ARRAY(Text), nullable=False, server_default="{}"),  # of its series, by triggers, in capitals
    count("series_count"),
    count("instance_count"),
    count("bytes"),
    # What people search by, in the one row: the patient's part is repeated here, as this study tells it. Where an
    # ID was used twice, no study shows the other person's birth date.
    words("patient_id"),
    words("patient_name"),
    words("name_folded"),
    Column("birth_date", Date),
    words("sex"),
    Column("name_tokens", ARRAY(Text), nullable=False, server_default="{}"),
    moment("received_at"),
    moment("updated_at"),
    UniqueConstraint("facility_id", "study_uid", "patient_pk"),
    Index("ix_studies_study_uid", "study_uid"),
    Index("ix_studies_patient", "patient_pk"),
    Index("ix_studies_patient_id", "patient_id", postgresql_ops={"patient_id": "text_pattern_ops"}),
    Index("ix_studies_accession", "accession", postgresql_ops={"accession": "text_pattern_ops"}),
    Index("ix_studies_newest", "sort_date", "id"),
    Index("ix_studies_facility_newest", "facility_id", "sort_date", "id"),
    Index("ix_studies_name_tokens", "name_tokens", postgresql_using="gin"),
    Index("ix_studies_modalities", "modalities", postgresql_using="gin"),
    Index("ix_studies_sop_classes", "sop_classes", postgresql_using="gin"),
)  # fmt: skip

series = Table(
    "series", metadata,
    identity(),
    owner(),
    Column("study_pk", BigInteger, ForeignKey("studies.id", ondelete="CASCADE"), nullable=False),
    Column("series_uid", Text, nullable=False),
    words("modality"),
    Column("number", BigInteger),
    words("description"),
    words("body_part"),
    words("laterality"),
    Column("series_date", Date),
    Column("series_time", Time),
    Column("step_date", Date),
    Column("step_time", Time),
    words("station"),
    words("manufacturer"),
    count("instance_count"),
    count("frame_count"),
    # Thumbnails: made for this many instances; tries count, so that a file which kills a decoder is given up.
    Column("derived_count", BigInteger, nullable=False, server_default="0"),
    Column("derive_tries", SmallInteger, nullable=False, server_default="0"),
    Column("hinted_at", DateTime(timezone=True)),
    Column("has_pixels", Boolean, nullable=False, server_default=text("false")),
    Column("rendition_at", DateTime(timezone=True)),  # since when it waits for HTJ2K renditions; NULL: it does not
    moment("updated_at"),
    UniqueConstraint("study_pk", "series_uid"),
    Index("ix_series_series_uid", "series_uid"),
    Index("ix_series_rendition_at", "rendition_at", postgresql_where=text("rendition_at IS NOT NULL")),
    Index("ix_series_underived", "updated_at", postgresql_where=text("derived_count < instance_count")),
)  # fmt: skip

packs = Table(
    "packs", metadata,
    Column("id", Uuid, primary_key=True),
    owner(),
    Column("key", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="shipped"),  # shipped, indexed, failed
    Column("tries", SmallInteger, nullable=False, server_default="0"),
    Column("records", Integer),
    Column("urgent", Boolean, nullable=False, server_default=text("false")),  # goes before what is not
    Column("again", Boolean, nullable=False, server_default=text("false")),  # to be indexed anew, after all that is new
    Column("edition", Integer, nullable=False, server_default="0"),  # how often it was indexed anew
    Column("callings", ARRAY(Text)),  # AE titles that sent what is in it; NULL: nobody has looked yet
    moment("shipped_at"),
    moment("hinted_at"),
    Column("indexed_at", DateTime(timezone=True)),
    Index("ix_packs_waiting", "hinted_at", postgresql_where=text("state = 'shipped' AND NOT again")),
    Index("ix_packs_lanes", "facility_id", "urgent", "id",
          postgresql_where=text("state = 'shipped' AND NOT again")),
    Index("ix_packs_again", "facility_id", "urgent", "id", postgresql_where=text("again")),
)  # fmt: skip

series_packs = Table(
    "series_packs", metadata,
    Column("series_pk", BigInteger, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True),
    Column("pack_id", Uuid, ForeignKey("packs.id"), primary_key=True),
    owner(),
    Column("instance_count", Integer, nullable=False),
    Column("edition", Integer, nullable=False, server_default="0"),  # of its contents and metadata
    # The HTJ2K rendition of the same edition: NULL where there is none; tries count, as those of thumbnails do.
    Column("rendition_bytes", BigInteger),
    Column("resolutions", ARRAY(Integer)),  # `storage.progressive.Rendition.resolutions`
    Column("rendition_tries", SmallInteger, nullable=False, server_default="0"),
    Index("ix_series_packs_pack_id", "pack_id"),
)  # fmt: skip

# Objects whose place others have taken; removed once nobody can be reading them any more.
superseded = Table(
    "superseded", metadata,
    Column("key", Text, primary_key=True),
    owner(),
    moment("since"),
    Index("ix_superseded_since", "since"),
)  # fmt: skip

# 76 bytes with its index: a hash of the SOP Instance UID and the series it is in. `rank` parts UIDs whose
# hashes collide; the contents of the series hold the UID itself.
instances = Table(
    "instances", metadata,
    Column("uid_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("facility_id", Integer, primary_key=True, autoincrement=False),
    Column("rank", SmallInteger, primary_key=True, autoincrement=False, server_default="0"),
    Column("series_pk", BigInteger, nullable=False),
)  # fmt: skip

# Rejection Notes (pacs.rejection), what they name, and the records that are therefore not shown.
rejections = Table(
    "rejections", metadata,
    identity(),
    owner(),
    Column("note_uid", Text, nullable=False),
    Column("study_uids", ARRAY(Text), nullable=False),
    words("patient_id"),  # as the note tells them: the study itself may be gone from the index
    words("patient_name"),
    Column("code", Text, nullable=False),
    words("reason"),
    words("author"),  # the device or user that it came from
    Column("state", Text, nullable=False, server_default="active"),  # active, restored, erased
    moment("rejected_at"),
    Column("ended_at", DateTime(timezone=True)),
    words("ended_by"),
    UniqueConstraint("facility_id", "note_uid"),
    Index("ix_rejections_active", "rejected_at", postgresql_where=text("state = 'active'")),
)  # fmt: skip

rejected = Table(
    "rejected", metadata,
    Column("rejection_id", BigInteger, ForeignKey("rejections.id", ondelete="CASCADE"), primary_key=True),
    Column("study_uid", Text, primary_key=True),
    Column("sop_instance", Text, primary_key=True),
    owner(),
    Index("ix_rejected_sop_instance", "sop_instance", "facility_id"),
)  # fmt: skip

# Records of packs that no contents list: the rejected ones, the notes, and what came again. A row for each, so that an
# erasure finds all copies.
asides = Table(
    "asides", metadata,
    Column("pack_id", Uuid, ForeignKey("packs.id"), primary_key=True),
    Column("body_offset", BigInteger, primary_key=True),  # of the Part 10 bytes in the pack
    owner(),
    Column("study_uid", Text, nullable=False),
    Column("sop_instance", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),  # it came; or later, it was shown no more
    Index("ix_asides_sop_instance", "sop_instance", "facility_id"),
)  # fmt: skip

# What an operator must look at: conflicting content under one UID, and files that cannot be indexed.
incidents = Table(
    "incidents", metadata,
    identity(),
    owner(),
    Column("kind", Text, nullable=False),  # conflict, quarantine, patient, charset, unrenewed, rejection
    Column("pack_id", Uuid, ForeignKey("packs.id"), nullable=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("sop_instance", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default="{}"),
    moment("created_at"),
    Column("resolved_at", DateTime(timezone=True)),
    UniqueConstraint("pack_id", "record_offset", "kind"),
    Index("ix_incidents_conflicts", "sop_instance", postgresql_where=text("kind = 'conflict'")),
)  # fmt: skip

secrets = Table(
    "secrets", metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    moment("created_at"),
)  # fmt: skip

# Tries to sign in of the last minute (storage/tries.py).
tries = Table(
    "tries", metadata,
    identity(),
    Column("who", LargeBinary, nullable=False),
    moment("tried_at"),
    Index("ix_tries_who", "who"),
    Index("ix_tries_tried_at", "tried_at"),
)  # fmt: skip
