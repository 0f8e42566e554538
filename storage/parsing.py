"""Parsing: one record of a pack, read for the index. No row is locked meanwhile."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace

from pacs.encoded import Recall, read_instance
from pacs.errors import InvalidUID
from pacs.uids import clean_uid
from pacs.values import Json
from storage import contents, describe
from storage.blobs.mapping import sha256
from storage.contents import Entry
from storage.records import Record

Body = bytes | memoryview  # of a record; mapped, if it is large


@dataclass(slots=True)
class Parsed:
    """One record, read."""

    record: Record
    attributes: Json
    study_uid: str
    series_uid: str
    entry: Entry

    @property
    def key(self) -> tuple[str, str, str]:
        """Patient, study, series: the order in which rows are locked."""
        patient = describe.patient_row(self.attributes, 0, self.study_uid)
        who = "|".join((patient["issuer"], patient["patient_id"], patient["anonymous_name"]))
        return (who, self.study_uid, self.series_uid)

    def as_conflict(self) -> Parsed:
        """The same, where other content is shown under its UID."""
        return replace(self, entry=replace(self.entry, conflict=True))


@dataclass(slots=True)
class Batch:
    """What a pack holds, read before any row is locked."""

    parsed: list[Parsed] = field(default_factory=list)
    quarantined: list[tuple[Record, str]] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        return [p.record for p in self.parsed] + [record for record, _ in self.quarantined]


def parse(
    record: Record, body: Body, pack: uuid.UUID, charset: str | None, recall: Recall | None = None
) -> Parsed:
    """Raises EncodedError or InvalidUID for what cannot be read, and whatever its bytes provoke. `recall`: the instance
    before it, of the same kind."""
    instance = read_instance(body, charset=charset, recall=recall)
    a = instance.attributes
    study_uid = describe.uid(a, "0020000D", "Study Instance UID")
    series_uid = describe.uid(a, "0020000E", "Series Instance UID")
    sop = _sop(a, record)
    # What the command named and the data set does not: the instance must be found under it.
    a["00080018"], a["00080016"] = {"vr": "UI", "Value": [sop[0]]}, {"vr": "UI", "Value": [sop[1]]}
    base = f"/dicom-web/studies/{study_uid}/series/{series_uid}/instances/{sop[0]}/bulkdata"
    for element in instance.pointers:
        element["BulkDataURI"] = base + element["BulkDataURI"]
    digest = sha256(memoryview(body)[record.header.dataset_offset :])
    entry = contents.describe(instance, record, pack, sop, digest)
    return Parsed(record, a, study_uid, series_uid, entry)


def _sop(attributes: Json, record: Record) -> tuple[str, str]:
    """SOP UIDs of the data set, else of the C-STORE command that brought it."""
    instance, class_ = contents.sop_of(attributes)
    try:
        return clean_uid(instance), class_ or record.header.sop_class
    except InvalidUID:
        return clean_uid(record.header.sop_instance), class_ or record.header.sop_class
