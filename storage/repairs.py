"""Repairs of character sets: which one a device is known to write, and what was read otherwise than declared.

The bytes stay as they came. The repair is noted with the instance (`contents.Entry.notes`), in the log of its pack,
and, where it was recognised rather than registered, once for each device as an incident, which counts on: an
operator then registers the character set for the device, or finds its maker.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Integer, bindparam, case, cast, func, select, update
from sqlalchemy.dialects.postgresql import JSONB

from storage.contents import Entry
from storage.index.tables import devices, incidents
from storage.index.writes import PackRow, Row, add_incidents
from storage.records import Origin, Record

Located = tuple[Record, Entry]
KIND = "charset"
PREFIX, REGISTERED = "charset:", "(device)"  # of notes, as `pacs.encoded` writes them


@dataclass(frozen=True, slots=True)
class DeviceCharsets:
    """The devices of a facility whose character set is registered, the narrowest network first."""

    known: tuple[tuple[str, str, str, bool], ...] = ()  # AE title, network, charset, told by its certificate

    def of(self, origin: Origin) -> str | None:
        """The character set to use instead of what is declared; None to believe what is declared."""
        mine = [entry for entry in self.known if entry[0] == origin.calling]
        try:
            peer = ipaddress.ip_address(origin.peer) if mine else None
        except ValueError:
            return None  # an import, which no device sent
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
            peer = peer.ipv4_mapped
        for _, network, charset, _ in mine:
            if peer in ipaddress.ip_network(network):
                return charset
        return next((charset for _, _, charset, anywhere in mine if anywhere), None)


_DEVICE_CHARSETS = select(
    devices.c.ae_title, devices.c.address, devices.c.charset, devices.c.certificate != ""
).where(devices.c.facility_id == bindparam("facility"), devices.c.charset != "")


def device_charsets(connection: Connection, facility_id: int) -> DeviceCharsets:
    """Those of a facility: one query for a pack, none for an instance."""
    found = connection.execute(_DEVICE_CHARSETS, {"facility": facility_id})
    rows = [(str(t), str(a), str(c), bool(k)) for t, a, c, k in found]
    rows.sort(key=lambda row: -ipaddress.ip_network(row[1]).prefixlen)
    return DeviceCharsets(tuple(rows))


def repairs_of(entry: Entry) -> list[str]:
    """What was read otherwise than declared, in the fixed words of the parser."""
    return [note.removeprefix(PREFIX) for note in entry.notes if note.startswith(PREFIX)]


def note_repairs(
    connection: Connection, pack: PackRow, read: Sequence[Located], before: Sequence[Located] = ()
) -> Counter[str]:
    """Count the repairs of a pack, and keep the incidents of its devices up to date. Returns repair → instances.

    `before` is what was read of it the last time, where it is indexed anew: an incident that no instance gives rise
    to any more is closed."""
    recognised, earlier = _recognised(read), _recognised(before)
    for calling, repair in sorted(recognised.keys() | earlier.keys()):
        found = recognised.get((calling, repair), [])
        more = len(found) - len(earlier.get((calling, repair), ()))
        if more and not _count_on(connection, pack, calling, repair, more) and more > 0:
            _first(connection, pack, calling, repair, found)
    return Counter(repair for _, entry in read for repair in repairs_of(entry))


def _recognised(read: Iterable[Located]) -> dict[tuple[str, str], list[Located]]:
    """Device and repair → its instances, without those whose character set is registered."""
    found: dict[tuple[str, str], list[Located]] = {}
    for record, entry in read:
        for repair in repairs_of(entry):
            if not repair.endswith(REGISTERED):
                found.setdefault((printable(record.header.origin.calling), repair), []).append(
                    (record, entry)
                )
    return found


def printable(calling: str) -> str:
    """Peers send what they like; PostgreSQL takes no NUL."""
    return "".join(c if c.isprintable() else "?" for c in calling)


def _count_on(connection: Connection, pack: PackRow, calling: str, repair: str, number: int) -> bool:
    """Add to the open incident of this device and repair; False if there is none."""
    total = cast(incidents.c.details["instances"].astext, Integer) + number
    counted = (
        update(incidents)
        .where(
            incidents.c.facility_id == pack.facility_id,
            incidents.c.kind == KIND,
            incidents.c.resolved_at.is_(None),
            incidents.c.details["calling"].astext == calling,
            incidents.c.details["repair"].astext == repair,
        )
        .values(
            details=incidents.c.details.op("||")(func.jsonb_build_object("instances", total, type_=JSONB)),
            resolved_at=case((total <= 0, func.now())),
        )
    )
    return connection.execute(counted).rowcount > 0


def _first(connection: Connection, pack: PackRow, calling: str, repair: str, found: list[Located]) -> None:
    """The first of its kind: one worker alone makes the incident, the others count on."""
    key = zlib.crc32(f"{calling}|{repair}".encode())
    connection.execute(select(func.pg_advisory_xact_lock(pack.facility_id, key - 2**31)))
    if _count_on(connection, pack, calling, repair, len(found)):
        return
    record, entry = found[0]
    row: Row = {
        "facility_id": pack.facility_id, "kind": KIND, "pack_id": pack.id, "record_offset": record.offset,
        "sop_instance": entry.sop_instance,
        "reason": f"text of {calling} was read in another character set than declared: {repair}; if that is right,"
                  f" tongying device change {calling} --charset",
        "details": {"calling": calling, "repair": repair, "instances": len(found)},
    }  # fmt: skip
    add_incidents(connection, [row])
