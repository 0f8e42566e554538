"""What arrived, told to the audit trail when it is indexed: only then is known of which study and patient it is."""

from __future__ import annotations

from pacs.access import Role
from pacs.audit import Action, Entry, Service, Subject
from storage.audit.recorder import Recorder
from storage.parsing import Batch


def tell(recorder: Recorder, batch: Batch) -> None:
    """An entry for each study and sender; of one that comes in many packs, one a minute."""
    for origin, study_uid in {(p.record.header.origin, p.study_uid) for p in batch.parsed}:
        entry = Entry.of(
            None, service=Service.INDEX, action=Action.STORE, who=origin.calling, role=Role.DEVICE.value,
            facility=origin.facility, address=origin.peer, ae_title=origin.calling, asked="indexed",
            studies=(study_uid,), subjects=(Subject(origin.facility),),
        )  # fmt: skip
        recorder.record_once(entry, (origin, study_uid), durable=False)
