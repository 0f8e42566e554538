"""Instance Availability Notification (PS3.4 R): whoever schedules or reports learns that images can be retrieved."""

from __future__ import annotations

from itertools import groupby

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dicom_node.requestor import Answer, Context, Requestor
from dicom_node.syntaxes import EXPLICIT, IMPLICIT
from pacs.encoded.part10 import UID_ROOT
from storage.location import Located

INSTANCE_AVAILABILITY = "1.2.840.10008.5.1.4.33"
CONTEXTS = [Context(INSTANCE_AVAILABILITY, (EXPLICIT, IMPLICIT))]


def notify(peer: Requestor, retrieve_ae_title: str, study_uid: str, located: list[Located]) -> Answer:
    """One N-CREATE for instances of one study; raises PeerError, or NotAcceptable where the peer does not take it."""
    attributes = notification(retrieve_ae_title, study_uid, located)
    return peer.create(INSTANCE_AVAILABILITY, generate_uid(f"{UID_ROOT}."), attributes)


def notification(retrieve_ae_title: str, study_uid: str, located: list[Located]) -> Dataset:
    """The attributes of the N-CREATE (PS3.4 R.3.2.1): which series and instances are online, and where."""
    dataset = Dataset()
    dataset.ReferencedPerformedProcedureStepSequence = []  # type 2: not known here
    dataset.StudyInstanceUID = study_uid
    dataset.ReferencedSeriesSequence = []
    ordered = sorted(located, key=lambda one: one.series_uid)
    for series_uid, group in groupby(ordered, key=lambda one: one.series_uid):
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        series.ReferencedSOPSequence = [_available(one, retrieve_ae_title) for one in group]
        dataset.ReferencedSeriesSequence.append(series)
    return dataset


def _available(one: Located, retrieve_ae_title: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = one.entry.sop_class
    item.ReferencedSOPInstanceUID = one.entry.sop_instance
    item.InstanceAvailability = "ONLINE"
    item.RetrieveAETitle = retrieve_ae_title
    return item
