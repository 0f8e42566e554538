"""The data set of a DIMSE message that is no instance: the identifier of a query, attributes of an N-CREATE."""

from pacs.encoded.fields import Fields
from pacs.encoded.model import EncodedError, Limits, Notes
from pacs.encoded.scopes import Json
from pacs.encoded.settle import settle_signs, settle_texts
from pacs.encoded.syntax import declared_encoding, find_encoding
from pacs.encoded.walk import Walk

LIMITS = Limits(
    inline_bytes_max=64 << 10,
    elements_max=10_000,
    nesting_levels_max=16,
    json_bytes_max=4 << 20,
    notes_max=64,
)
_META = b"\x02\0"  # group 0002, little endian
_DAMAGE = frozenset(("truncated", "garbage", "unreadable", "nesting", "elements"))


def read_identifier(data: bytes, transfer_syntax: str, *, charset: str | None = None) -> Json:
    """The DICOM JSON model of a data set. Elements of the file meta group, which Orthanc puts in it, are left out.

    charset: defined terms, as in Specific Character Set, to use instead of the declared ones.
    Raises EncodedError if it cannot be read to its end.
    """
    if not data:
        return {}
    view, notes = memoryview(data), Notes(LIMITS.notes_max)
    declared = declared_encoding(transfer_syntax)
    encoding = declared if data.startswith(_META) else find_encoding(view, 0, declared, fit_min=1)
    if encoding is None:
        raise EncodedError("no DICOM data set")
    walk = Walk(0, encoding, Fields(view, "", LIMITS, notes))
    walk.run()
    settle_texts(walk.fields.texts, charset, notes)
    settle_signs(walk.fields.signs)
    for note in notes.all():
        if note.split(":", 1)[0] in _DAMAGE:
            raise EncodedError("the data set is damaged")
    return walk.root.attributes
