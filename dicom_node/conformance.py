"""The node's part of the DICOM conformance statement, from the tables that the node itself works by;
`deploy.conformance` prints the whole."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.uid import UID

from dicom_node import acceptor, commitment, find, retrieve, upper_layer
from dicom_node.commands import Status
from dicom_node.requestor import PDU_BYTES_MAX
from dicom_node.services import SERVICES
from dicom_node.syntaxes import EXPLICIT, IMPLICIT
from pacs.attributes import ATTRIBUTES, Level
from pacs.encoded import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs.pixels.decode import DECODABLE
from pacs.settings import Settings
from storage import answers
from storage import commitment as commitments

SETTINGS = Settings()
UNIQUE = frozenset(retrieve.UNIQUE.values())
REQUIRED = frozenset({
    "PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyInstanceUID", "Modality",
    "SeriesNumber", "SeriesInstanceUID", "InstanceNumber", "SOPInstanceUID",
})  # fmt: skip
WHEN = {
    Status.SUCCESS: "done; of a C-STORE: the bytes are durable",
    Status.PENDING: "an answer, or a progress report, and more follow",
    Status.CANCEL: "the peer cancelled",
    Status.SUB_OPERATIONS_FAILED: "some sub-operations failed; the list of UIDs is in the data set",
    Status.CANNOT_PERFORM: "all sub-operations failed",
    Status.MOVE_DESTINATION_UNKNOWN: "the move destination is not registered for the caller's facility",
    Status.IDENTIFIER_DOES_NOT_MATCH: "the identifier cannot be read, or lacks a key that the level needs",
    Status.OUT_OF_RESOURCES: "disk low, archive away, or more matches than one answer may hold",
    Status.RESOURCE_LIMITATION: "of an N-service: the archive is away",
    Status.CANNOT_UNDERSTAND: "an empty data set",
    Status.INVALID_OBJECT_INSTANCE: "a SOP Class or Instance UID that is none",
    Status.SOP_CLASS_NOT_SUPPORTED: "C-STORE in a context that is not for storage",
    Status.PROCESSING_FAILURE: "an error within the archive",
    Status.UNRECOGNISED_OPERATION: "an operation that the context's service does not have",
    Status.NOT_AUTHORISED: "the device has not the role for it",
    Status.INVALID_ARGUMENT: "an N-ACTION whose information cannot be read",
    Status.NO_SUCH_ACTION: "an N-ACTION of another type than 1",
}  # fmt: skip


def statement() -> str:
    """The whole document, Markdown."""
    return (
        "\n".join((*_head(), *_scp(), *_scu(), *_query(), *_statuses(), *_limits(), *_character_sets()))
        + "\n"
    )


def _head() -> Iterator[str]:
    yield "# DICOM conformance statement"
    yield ""
    yield "Made from the product's own tables by `python -m deploy.conformance`; a test keeps it true."
    yield ""
    yield f"- Implementation Class UID `{IMPLEMENTATION_CLASS_UID}`"
    yield f"- Implementation Version Name `{IMPLEMENTATION_VERSION_NAME}`"
    yield f"- Application entity `{SETTINGS.ae_title}` on port {SETTINGS.dicom_port} (settings)"
    yield "- Calls are taken from registered devices, each with its roles; others are rejected"
    yield "- DICOM over TLS by BCP 195 on a second port; user identity negotiation by passcode or JWT"
    yield ""


def _scp() -> Iterator[str]:
    yield "## Services as SCP"
    yield "| SOP class | UID | role of the device | transfer syntaxes |"
    yield "|---|---|---|---|"
    for service in SERVICES.values():
        syntaxes = ", ".join(UID(uid).name for uid in (EXPLICIT, IMPLICIT))
        yield f"| {service.name} | `{service.sop_class}` | {service.role or 'any'} | {syntaxes} |"
    yield "| Storage (level 2, full): every SOP class, private and future ones too | all | store | every one |"
    yield ""
    yield "Stored instances keep their bytes. They go out in the transfer syntax in which they came where the receiver"
    yield "accepts it, else decoded to Explicit or Implicit VR Little Endian. These can be decoded:"
    yield from (f"- {UID(uid).name}" for uid in sorted(DECODABLE) if UID(uid).name != uid)
    yield ""
    yield "Extended negotiation of the query models: relational queries always; dates and times combined if asked."
    yield "Role selection is accepted for storage classes (C-GET) and proposed for reports of storage commitment."
    yield ""


def _scu() -> Iterator[str]:
    yield "## Services as SCU"
    yield "| service | when |"
    yield "|---|---|"
    yield "| Storage | C-MOVE sub-operations, `tongying send`, rules (`tongying route`) |"
    yield "| Storage Commitment Push Model, N-EVENT-REPORT (role SCP) | the answer to a request, on a new association |"
    yield "| Instance Availability Notification, N-CREATE | a study was indexed, to remotes that asked for it |"
    yield "| Verification | `tongying remote echo` |"
    yield ""


def _query() -> Iterator[str]:
    yield "## Query keys"
    yield "Matching: single value, list of UID, wildcard, range, universal, sequence (PS3.4 C.2.2.2). Names match by"
    yield "any component group, without regard to case and accents. U unique, R required, O optional."
    for level in Level:
        yield ""
        yield f"### {level}"
        yield "| attribute | tag | VR | type | matched in |"
        yield "|---|---|---|---|---|"
        for a in ATTRIBUTES:
            if a.level is level:
                kind = "U" if a.keyword in UNIQUE else "R" if a.keyword in REQUIRED else "O"
                place = "index" if a.column else "told" if a.computed else "metadata"
                yield f"| {a.keyword} | ({a.tag[:4]},{a.tag[4:]}) | {a.vr} | {kind} | {place} |"
    yield ""
    yield "At the IMAGE level every other attribute of the data set can be asked for and matched as well. Retrieve AE"
    yield "Title comes with each answer, Instance Availability (ONLINE) where it is asked for."
    yield ""


def _statuses() -> Iterator[str]:
    yield "## Statuses"
    yield "| status | when |"
    yield "|---|---|"
    for status, when in WHEN.items():
        yield f"| {status:04X} | {when} |"
    yield ""
    yield "Error Comment (0000,0902) says why in words."
    yield ""


def _limits() -> Iterator[str]:
    yield "## Limits"
    yield "| what | how much |"
    yield "|---|---|"
    rows = (
        ("PDU that is taken (P-DATA-TF)", f"{SETTINGS.pdu_bytes_max} bytes (setting)"),
        ("PDU that is sent", f"{PDU_BYTES_MAX} bytes, or what the peer takes"),
        ("any other PDU", f"{upper_layer.ASSOCIATE_PDU_BYTES_MAX} bytes"),
        ("message that is no C-STORE", f"{upper_layer.MESSAGE_BYTES_MAX} bytes"),
        ("C-STORE data set", f"{SETTINGS.object_bytes_max} bytes (setting)"),
        ("associations, in all and of one address",
         f"{SETTINGS.associations_max} and {SETTINGS.associations_per_peer_max} (settings)"),
        ("time from connection to A-ASSOCIATE-RQ", f"{acceptor.ACSE_SECONDS_MAX} s"),
        ("idle association", f"{SETTINGS.association_idle_seconds} s (setting)"),
        ("answers to one C-FIND above the IMAGE level", f"{answers.ROWS_MAX}, then status A700"),
        ("answers at the IMAGE level", f"{answers.INSTANCES_MAX}, then status A700"),
        ("rows whose metadata one query reads", f"{answers.SCANNED_MAX}, then status A700"),
        ("answers gathered before they are sent", f"{find.SENT_AT_ONCE_BYTES} bytes"),
        ("C-STORE response of a C-GET's or C-MOVE's receiver", f"{retrieve.ANSWER_SECONDS_MAX} s"),
        ("instances of one storage commitment request", f"{commitments.ITEMS_MAX}"),
        ("association held for a commitment report that can go nowhere else", f"{commitment.HERE_SECONDS_MAX} s"),
        ("asynchronous operations", "none negotiated"),
    )  # fmt: skip
    yield from (f"| {what} | {how} |" for what, how in rows)
    yield ""


def _character_sets() -> Iterator[str]:
    yield "## Character sets"
    yield "Read: all of PS3.3 C.12.1.1.2, with and without code extensions; UTF-8, GBK and GB18030 that are undeclared"
    yield "or wrongly declared are recognised, and a device may be registered with the one that it really uses. Answers"
    yield "are in the character set of the identifier, else in the device's; an answer that cannot be written in it"
    yield "without loss is in UTF-8 (ISO_IR 192)."
