"""What SQL holds of the exchange with other systems: whom we call, what we owe them, what they announced."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.index.columns import count, identity, metadata, moment, owner, words
from storage.index.tables import packs, series


def _due() -> tuple[Column[Any], ...]:
    """Of a row that is work: its state, how often it was tried, and when it is due again."""
    return (
        Column("state", Text, nullable=False, server_default="waiting"),  # waiting, running, done, failed
        Column("tries", SmallInteger, nullable=False, server_default="0"),
        Column("not_before", DateTime(timezone=True), nullable=False, server_default=func.now()),
        words("error"),
        moment("created_at"),
        moment("updated_at"),
    )


def _of_remote() -> Column[int]:
    """Of a row that is gone with its remote."""
    return Column(
        "remote_id",
        BigInteger,
        ForeignKey("remotes.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )


# Systems that we call: DICOM nodes (C-MOVE destinations, forwarding, reports) and hospitals' Orthancs.
remotes = Table(
    "remotes", metadata,
    identity(),
    owner(),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False, server_default="dicom"),  # dicom, orthanc
    words("ae_title"),
    words("host"),
    Column("port", Integer),
    Column("tls", Boolean, nullable=False, server_default=text("false")),
    words("ca"),  # PEM: whom its certificate is believed from; empty: whom this machine believes
    words("certificate"),  # SHA-256 of the one certificate that it may show, in hexadecimal digits
    words("url"),  # of an Orthanc
    words("username"),
    words("password"),  # sealed (storage.seals)
    Column("syntaxes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("associations_max", Integer, nullable=False, server_default="2"),
    Column("notify", Boolean, nullable=False, server_default=text("false")),  # Instance Availability Notification
    Column("change", BigInteger, nullable=False, server_default="0"),  # how far an Orthanc's changes are followed
    Column("active", Boolean, nullable=False, server_default=text("true")),
    # Whoever wants to know whether it is there asks by a row; the process that may call it answers.
    Column("echo_asked_at", DateTime(timezone=True)),
    Column("echo_at", DateTime(timezone=True)),
    Column("echo_ms", Integer),
    words("echo_error"),
    moment("created_at"),
    Index("ix_remotes_ae_title", "ae_title"),
)  # fmt: skip

# Rules: what arrives and fits is sent on. An empty field fits all.
routes = Table(
    "routes", metadata,
    identity(),
    owner(),
    Column("remote_id", BigInteger, ForeignKey(remotes.c.id, ondelete="CASCADE"), nullable=False),
    words("modality"),
    words("body_part"),
    words("calling"),
    words("called"),
    moment("created_at"),
)  # fmt: skip

# The queue of the C-STORE SCU: a series, or what one pack holds of it.
sends = Table(
    "sends", metadata,
    identity(),
    owner(),
    Column("remote_id", BigInteger, ForeignKey(remotes.c.id, ondelete="CASCADE"), nullable=False),
    Column("series_pk", BigInteger, ForeignKey(series.c.id, ondelete="CASCADE"), nullable=False),
    Column("pack_id", Uuid, ForeignKey(packs.c.id)),
    Column("total", Integer, nullable=False, server_default="0"),
    Column("sent", Integer, nullable=False, server_default="0"),
    Column("priority", SmallInteger, nullable=False, server_default="0"),  # the smallest goes first
    *_due(),
    UniqueConstraint("remote_id", "series_pk", "pack_id", postgresql_nulls_not_distinct=True),
    # Of a row that runs, `not_before` is when its sender is given up. The index begins with the lanes, so that a
    # million rows of one are stepped over at once.
    Index("ix_sends_open", "remote_id", "facility_id", "priority", "not_before",
          postgresql_where=text("state IN ('waiting', 'running')")),
    Index("ix_sends_series_pk", "series_pk"),
)  # fmt: skip

# Storage Commitment: what was asked, and that the answer is owed until it was given.
commitments = Table(
    "commitments", metadata,
    identity(),
    owner(),
    Column("transaction_uid", Text, nullable=False),
    Column("calling", Text, nullable=False),  # whom to answer
    Column("called", Text, nullable=False),  # as whom
    words("peer"),
    Column("items", JSONB, nullable=False),  # pairs of SOP Class and Instance UID
    *_due(),
    UniqueConstraint("facility_id", "calling", "transaction_uid"),
    Index("ix_commitments_due", "not_before", postgresql_where=text("state = 'waiting'")),
)  # fmt: skip

# Modality Worklist: one scheduled procedure step a row; `attributes` is the whole answer as DICOM JSON.
worklist = Table(
    "worklist", metadata,
    identity(),
    owner(),
    Column("accession", Text, nullable=False),
    Column("step_id", Text, nullable=False),
    words("patient_id"),
    words("patient_name"),
    words("modality"),
    words("station_ae"),
    Column("start_date", Date),
    Column("start_time", Time),
    words("study_uid"),
    Column("status", Text, nullable=False, server_default="SCHEDULED"),
    Column("attributes", JSONB, nullable=False),
    moment("created_at"),
    moment("updated_at"),
    UniqueConstraint("facility_id", "accession", "step_id"),
    Index("ix_worklist_day", "facility_id", "start_date", postgresql_where=text("status = 'SCHEDULED'")),
    Index("ix_worklist_study_uid", "study_uid"),
)  # fmt: skip

# Modality Performed Procedure Steps: what a device says it did.
performed_steps = Table(
    "performed_steps", metadata,
    identity(),
    owner(),
    Column("sop_instance", Text, nullable=False),
    Column("calling", Text, nullable=False),
    Column("status", Text, nullable=False),  # IN PROGRESS, COMPLETED, DISCONTINUED
    words("study_uid"),
    words("accession"),
    Column("attributes", JSONB, nullable=False),
    Column("announced", Integer, nullable=False, server_default="0"),  # instances it says it made
    Column("present", Integer, nullable=False, server_default="0"),  # of these, shown in the archive
    moment("created_at"),
    moment("updated_at"),
    UniqueConstraint("facility_id", "sop_instance"),
    Index("ix_performed_steps_study_uid", "study_uid"),
    Index("ix_performed_steps_open", "updated_at", postgresql_where=text("present < announced")),
)  # fmt: skip

# How far a remote of kind "orthanc" is followed; its place in the change log is `remotes.change`.
edges = Table(
    "edges", metadata,
    _of_remote(),
    owner(),
    Column("state", Text, nullable=False, server_default="new"),  # new, following, away, refused, blocked
    words("error"),
    # The change at that place: where another stands under its number, the Orthanc's database was replaced.
    words("mark"),
    Column("listed", BigInteger),  # instances gone through by the comparison under way; NULL: none is under way
    words("anchor"),  # the last of these, by Orthanc's own identifier
    count("pulled"),
    moment("updated_at"),
)  # fmt: skip

# Instances of an Orthanc that could not be pulled; tried again, ever more seldom, and shown until they are here.
edge_failures = Table(
    "edge_failures", metadata,
    _of_remote(),
    Column("instance", Text, primary_key=True),  # Orthanc's own identifier
    owner(),
    Column("tries", SmallInteger, nullable=False, server_default="1"),
    moment("not_before"),
    words("error"),
    moment("created_at"),
    Index("ix_edge_failures_due", "remote_id", "not_before"),
)  # fmt: skip
