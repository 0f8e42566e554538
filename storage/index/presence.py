"""What of a facility is here: instances by UID, and studies by their counts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from pacs.access import Principal
from pacs.uids import uid_hash
from storage.index.rejections import kept_aside
from storage.index.tables import studies
from storage.index.visibility import visible
from storage.index.writes import known_instances


def known_uids(connection: Connection, facility_id: int, uids: Sequence[str]) -> set[str]:
    """Those of these SOP Instance UIDs that are indexed for a facility, or kept and rejected."""
    hashes = {uid: uid_hash(uid) for uid in uids}
    known = known_instances(connection, facility_id, list(hashes.values())) if hashes else {}
    return {uid for uid, hash_ in hashes.items() if hash_ in known} | kept_aside(
        connection, facility_id, uids
    )


def shown_counts(connection: Connection, principal: Principal, study_uids: Sequence[str]) -> dict[str, int]:
    """How many instances these studies show to the principal; one statement. A study that shows none is left out."""
    query = (
        select(studies.c.study_uid, func.sum(studies.c.instance_count))
        .where(visible(principal), studies.c.study_uid == func.any(list(study_uids)))
        .where(studies.c.instance_count > 0)
        .group_by(studies.c.study_uid)
    )
    return {uid: int(shown) for uid, shown in connection.execute(query)}
