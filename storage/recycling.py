"""The recycle bin: what is rejected can be looked through, restored, or erased for good."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from pacs.access import Principal, Role, may_reject
from pacs.audit import Action, Entry, Service, Subject
from pacs.errors import BadAttributes, Final, NotFound, TooLarge
from pacs.logs import get
from pacs.rejection import KEY_OBJECT_SELECTION, NAMED_MAX, TITLES, Reference, write_note
from pacs.transcode import EXPLICIT_LITTLE
from pacs.values import Json
from storage.archive import Archive
from storage.index import rejections
from storage.location import Located, attributes, find_series, locate
from storage.reception import Reception
from storage.records import Origin
from storage.rejection import ACTIVE, ERASED, RESTORED, write_register

log = get("recycling")
EXPIRED_MAX = 20  # rejections that one sweep ends
RETENTION = "retention"  # who erased what nobody did
KEY_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to reject of a study: all, a series, or instances of it; and why, by a code of `pacs.rejection.TITLES`."""

    study_uid: str
    series_uid: str = ""
    sop_instances: frozenset[str] = frozenset()
    facility: str = ""  # needed where several have a study of this UID
    code: str
    reason: str = ""


def reject(
    archive: Archive, reception: Reception, principal: Principal, choice: Choice, peer: str
) -> tuple[str, int]:
    """Take a Rejection Note in, as if it were sent; its SOP Instance UID, and how many instances it names. Durable on
    return; what it names disappears when it is indexed. Raises NotFound, BadAttributes, TooLarge, OutOfResources."""
    if choice.code not in TITLES:
        raise BadAttributes(f"the code is one of {', '.join(sorted(TITLES))}")
    facility = _facility(archive, principal, choice)
    own = replace(principal, facility=facility)
    chosen = _chosen(archive, own, choice)
    one = chosen[0]
    common = attributes(archive, own, one.study_uid, one.series_uid, one.entry.sop_instance)
    references = (
        Reference(o.series_uid, o.entry.sop_class, o.entry.sop_instance, o.entry.frames is not None)
        for o in chosen
    )
    uid, data = write_note(common, references, choice.code, choice.reason, datetime.now(UTC).astimezone())
    origin = Origin(facility, principal.name, archive.settings.ae_title, peer)
    reception.begin(origin, KEY_OBJECT_SELECTION, uid, EXPLICIT_LITTLE)
    reception.room(len(data))[:] = data
    reception.took(len(data))
    reception.commit()
    log.info(
        "rejection_made",
        note=uid,
        facility=facility,
        code=choice.code,
        instances=len(chosen),
        by=principal.name,
    )
    return uid, len(chosen)


def _facility(archive: Archive, principal: Principal, choice: Choice) -> str:
    """Whose study it is; one that the principal may not reject answers as one that does not exist."""
    owners = {
        str(row.facility) for row in find_series(archive, principal, choice.study_uid, choice.series_uid)
    }
    mine = {
        o for o in owners if may_reject(principal, o) and o == (choice.facility or o)
    }  # fmt: skip
    if not mine:
        raise NotFound("there is no such study")
    if len(mine) > 1:
        raise BadAttributes(f"several facilities have it ({', '.join(sorted(mine))}): name one")
    return mine.pop()


def _chosen(archive: Archive, own: Principal, choice: Choice) -> list[Located]:
    found = locate(archive, own, choice.study_uid, choice.series_uid)
    chosen = [o for o in found if not choice.sop_instances or o.entry.sop_instance in choice.sop_instances]
    if len({o.entry.sop_instance for o in chosen}) < len(choice.sop_instances) or not chosen:
        raise NotFound("there is no such instance")
    if len(chosen) > NAMED_MAX:
        raise TooLarge(f"a note names at most {NAMED_MAX} instances; reject series by series")
    return chosen


def list_rejections(
    archive: Archive, principal: Principal, *, state: str = "", note_uid: str = "", before: int | None = None,
    limit: int = 100,
) -> list[Json]:  # fmt: skip
    """What the principal may see of the bin, newest first, from below the id `before`. `kept_until` is None where it is
    kept until somebody erases it, or was erased or restored."""
    with archive.database.begin() as connection:
        found = rejections.find_rejections(
            connection, principal, state=state, note_uid=note_uid, before=before, limit=limit
        )
    return [_told(archive, row) for row in found]


def find_rejection(archive: Archive, principal: Principal, rejection_id: int) -> Json:
    """One; raises NotFound."""
    with archive.database.begin() as connection:
        return _told(archive, _row(connection, principal, rejection_id))


def _row(connection: Connection, principal: Principal, rejection_id: int) -> Any:
    row = None
    if 0 < rejection_id <= KEY_MAX:
        row = rejections.find_rejection(connection, principal, rejection_id)
    if row is None:
        raise NotFound("there is no such rejection")
    return row


def _told(archive: Archive, row: Any) -> Json:
    days = archive.settings.rejected_days
    kept = row.rejected_at + timedelta(days=days) if days and row.state == ACTIVE else None
    told = {**row._mapping, "meaning": TITLES.get(row.code, ""), "kept_until": kept}
    del told["facility_id"]
    return told


def restore(archive: Archive, principal: Principal, rejection_id: int) -> Json:
    """Take a rejection back: what it hid is indexed anew, as it was. Raises NotFound; Final if it has ended."""
    return _end(archive, principal, rejection_id, RESTORED)


def erase(archive: Archive, principal: Principal, rejection_id: int) -> Json:
    """Give up what it hides, for good: from now on it cannot be restored, and its bytes leave the store soon
    (`storage.erasing`). Raises NotFound; Final if it has ended."""
    return _end(archive, principal, rejection_id, ERASED)


def expire(archive: Archive) -> int:
    """Erase what was kept for its time; how many rejections."""
    days = archive.settings.rejected_days
    if not days:
        return 0
    with archive.database.begin() as connection:
        due = rejections.expired(connection, datetime.now(UTC) - timedelta(days=days), EXPIRED_MAX)
    for rejection_id in due:
        ended = _end(archive, Principal(RETENTION, Role.ADMINISTRATOR), rejection_id, ERASED)
        about = Subject(ended["facility"], "", ended["patient_id"])
        told = Entry.of(
            None, service=Service.INDEX, action=Action.ERASE, who=RETENTION, asked=f"note {ended['note_uid']}",
            studies=tuple(ended["study_uids"]), subjects=(about,),
        )  # fmt: skip
        archive.audit.record(told, durable=False)
    return len(due)


def _end(archive: Archive, principal: Principal, rejection_id: int, state: str) -> Json:
    """Recorded in the store before it is committed: a reindex comes to the same."""
    with archive.database.begin() as connection:
        facility_id = _row(connection, principal, rejection_id).facility_id
        rejections.take_turn(connection, facility_id, alone=True)
        row = _row(connection, principal, rejection_id)
        if row.state != ACTIVE:
            raise Final(f"it is {row.state} already")
        now = datetime.now(UTC)
        named = rejections.named_by(connection, rejection_id)
        told = {
            "note": row.note_uid, "code": row.code, "reason": row.reason, "patient_id": row.patient_id,
            "patient_name": row.patient_name, "named": sorted(named), "author": row.author,
            "rejected_at": row.rejected_at.isoformat(), "state": state, "ended_at": now.isoformat(),
            "ended_by": principal.name,
        }  # fmt: skip
        write_register(archive, row.facility, told)
        rejections.end(connection, rejection_id, state, now, principal.name)
        if state == RESTORED:
            rejections.index_again(connection, rejections.held_aside(rejection_id))
        ended = _told(archive, _row(connection, principal, rejection_id))
    log.info(
        "rejection_ended", rejection=rejection_id, state=state, by=principal.name, instances=row.instances
    )
    return ended
