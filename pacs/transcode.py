"""From any transfer syntax to Explicit VR Little Endian (PS3.5 A.2)."""

from __future__ import annotations

import io
import warnings

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian

from pacs.errors import CannotRender
from pacs.pixels.decode import DECODABLE, decode_frame
from pacs.pixels.description import PixelError, describe
from pacs.pixels.frames import frames_of
from pacs.pixels.native import decode_big, first_bit

EXPLICIT_LITTLE = str(ExplicitVRLittleEndian)
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = frozenset({"1.2.840.10008.1.2", EXPLICIT_LITTLE, BIG_ENDIAN, "1.2.840.10008.1.2.1.99"})
DECODED_BYTES_MAX = 2 * 1024**3


def can_decode(transfer_syntax: str) -> bool:
    """Whether instances in it can become Explicit VR Little Endian; video cannot."""
    return transfer_syntax in DECODABLE or transfer_syntax in NATIVE


def to_explicit_little(part10: bytes) -> bytes:
    """The same instance in Explicit VR Little Endian as Part 10 bytes.

    Raises CannotRender for pixels that cannot be decoded, naming the frame.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what modalities write; we pass it on as it is
        try:
            dataset = dcmread(io.BytesIO(part10), force=True)
            if str(dataset.file_meta.TransferSyntaxUID) not in NATIVE and "PixelData" in dataset:
                _decompress(dataset)
            return _write(dataset)
        except (InvalidDicomError, AttributeError, ValueError, TypeError, KeyError, EOFError, RecursionError,
                NotImplementedError) as error:  # fmt: skip
            raise CannotRender(f"the data set cannot be written anew: {type(error).__name__}") from error


def _decompress(dataset: FileDataset) -> None:
    description = describe(dataset)
    frames = frames_of(dataset)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    decoded, photometric = bytearray(), description.photometric
    for number, encoded in enumerate(frames, 1):
        try:
            frame = decode_frame(description, encoded, syntax)
        except PixelError as error:
            raise CannotRender(f"frame {number}: {error}") from error
        if len(decoded) + frame.array.nbytes > DECODED_BYTES_MAX:
            raise CannotRender(f"more than {DECODED_BYTES_MAX} bytes of decoded pixels")
        decoded += frame.array.tobytes()
        photometric = frame.photometric
    dataset.PixelData = bytes(decoded) + b"\0" * (len(decoded) % 2)
    dataset["PixelData"].VR = "OB" if description.bits_allocated <= 8 else "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.PhotometricInterpretation = photometric
    if description.samples > 1:
        dataset.PlanarConfiguration = 0
    for leftover in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if leftover in dataset:
            del dataset[leftover]


def _write(dataset: Dataset) -> bytes:
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    dcmwrite(out, dataset, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return out.getvalue()


def native_frame(attributes: dict[str, object], encoded: bytes, transfer_syntax: str, index: int) -> bytes:
    """One frame as Explicit VR Little Endian has it: its samples, little endian. Raises PixelError."""
    description = describe(attributes)
    if transfer_syntax in NATIVE and transfer_syntax != BIG_ENDIAN:
        return encoded
    if transfer_syntax == BIG_ENDIAN:
        return decode_big(description, encoded, first_bit(description, index)).array.tobytes()
    return decode_frame(description, encoded, transfer_syntax).array.tobytes()
