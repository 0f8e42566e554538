"""From any transfer syntax to Explicit or Implicit VR Little Endian (PS3.5 A.2, A.1)."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pacs.encoded import EncodedError, inflate_dataset, read_head
from pacs.encoded.compose import EXTENDED_FROM_BYTES
from pacs.errors import CannotRender
from pacs.pixels.decode import DECODABLE, decode_frame
from pacs.pixels.description import PixelDescription, PixelError, describe
from pacs.pixels.encode import ENCODABLE, LOSSLESS, encode_frame
from pacs.pixels.frames import frames_of
from pacs.pixels.native import decode_big, first_bit

EXPLICIT_LITTLE = str(ExplicitVRLittleEndian)
IMPLICIT_LITTLE = str(ImplicitVRLittleEndian)
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, BIG_ENDIAN, DEFLATED})
WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}  # PS3.5 7.3: what changes with the byte order
DECODED_BYTES_MAX = 2 * 1024**3
RPCL = "1.2.840.10008.1.2.4.202"
LOSSLESS_SOURCES = frozenset(
    {
        IMPLICIT_LITTLE, EXPLICIT_LITTLE, BIG_ENDIAN, "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.92",
        "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1", *LOSSLESS,
    } - {RPCL}
)  # fmt: skip
"""The syntaxes in which frames come without loss, each by itself, and are no RPCL yet."""


def can_decode(transfer_syntax: str) -> bool:
    """Whether instances in it can become Explicit VR Little Endian; video cannot."""
    return transfer_syntax in DECODABLE or transfer_syntax in NATIVE


def transcoded(part10: bytes, to_syntax: str) -> bytes:
    """The same instance as Part 10 bytes in Explicit or Implicit VR Little Endian, or with its frames in one of
    `pacs.pixels.encode.LOSSLESS`; what has no pixels then comes in Explicit VR Little Endian.

    Raises CannotRender for pixels that cannot be decoded or encoded, naming the frame.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what modalities write; we pass it on as it is
        try:
            if read_head(part10).transfer_syntax == DEFLATED:
                inflate_dataset(part10)  # raises past a limit; pydicom has none
            dataset = dcmread(io.BytesIO(part10), force=True)
            syntax = str(dataset.file_meta.TransferSyntaxUID)
            if to_syntax in LOSSLESS:
                if "PixelData" not in dataset:
                    to_syntax = EXPLICIT_LITTLE
                elif syntax != to_syntax:
                    _compress(dataset, to_syntax)
            if syntax == BIG_ENDIAN:
                _swap(dataset)
            elif syntax not in NATIVE and to_syntax in NATIVE and "PixelData" in dataset:
                _decompress(dataset)
            return _write(dataset, to_syntax)
        except (InvalidDicomError, EncodedError, AttributeError, ValueError, TypeError, KeyError, EOFError,
                RecursionError, NotImplementedError) as error:  # fmt: skip
            raise CannotRender(f"the data set cannot be written anew: {type(error).__name__}") from error


def before_pixels(head: bytes, pixels: int, to_syntax: str) -> bytes | None:
    """What stands before the pixels of an instance, anew: for one whose native little endian pixels are its end.

    `head`: its Part 10 bytes up to the pixels' value, of `pixels` bytes. None where the pixels' header says otherwise.
    """
    length = struct.pack("<I", pixels)
    if pixels % 2 or not head.endswith(
        length
    ):  # which ends the header in both encodings (PS3.5 7.1.2, 7.1.3)
        return None
    return transcoded(head[:-4] + bytes(4), to_syntax)[:-4] + length


def _swap(dataset: Dataset) -> None:
    """Turn the words of the values that pydicom writes as they came."""
    for element in dataset.iterall():
        size = WORD_BYTES.get(element.VR)
        if size is None or not element.value:
            continue
        if element.keyword == "PixelData":
            size = max(size, int(dataset.get("BitsAllocated", 16)) // 8)  # 32 bits lie in order, not by words
        whole = len(element.value) // size * size
        turned = np.frombuffer(element.value, f">u{size}", whole // size).astype(f"<u{size}").tobytes()
        element.value = turned + element.value[whole:]


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
    _colour(dataset, description, photometric)
    _without_tables(dataset)


def _compress(dataset: FileDataset, to_syntax: str) -> None:
    description, syntax = describe(dataset), str(dataset.file_meta.TransferSyntaxUID)
    frames, photometric, size = [], description.photometric, 0
    for index, encoded in enumerate(frames_of(dataset)):
        try:
            frame = decode_frame(description, encoded, syntax, _first_bit(description, syntax, index))
            frames.append(encode_frame(frame, description, to_syntax))
        except PixelError as error:
            raise CannotRender(f"frame {index + 1}: {error}") from error
        photometric, size = frame.photometric, size + len(frames[-1])
    if size < EXTENDED_FROM_BYTES:
        dataset.PixelData = encapsulate(frames)
        _without_tables(dataset)
    else:
        data, starts, lengths = encapsulate_extended(frames)
        dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = (
            data,
            starts,
            lengths,
        )
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    _colour(dataset, description, photometric)


def _first_bit(description: PixelDescription, syntax: str, index: int) -> int:
    return first_bit(description, index) if syntax in NATIVE else 0


def _colour(dataset: Dataset, description: PixelDescription, photometric: str) -> None:
    dataset.PhotometricInterpretation = photometric
    if description.samples > 1:
        dataset.PlanarConfiguration = 0


def _without_tables(dataset: Dataset) -> None:
    for leftover in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if leftover in dataset:
            del dataset[leftover]


def _write(dataset: Dataset, syntax: str) -> bytes:
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    out = io.BytesIO()
    implicit = syntax == IMPLICIT_LITTLE
    dcmwrite(out, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return out.getvalue()


def _native_frame(description: PixelDescription, encoded: bytes, transfer_syntax: str, index: int) -> bytes:
    """Its samples, little endian."""
    if transfer_syntax in NATIVE and transfer_syntax != BIG_ENDIAN:
        return encoded
    if transfer_syntax == BIG_ENDIAN:
        return decode_big(description, encoded, first_bit(description, index)).array.tobytes()
    return decode_frame(description, encoded, transfer_syntax).array.tobytes()


def frame_in(attributes: dict[str, object], encoded: bytes, syntax: str, index: int, to_syntax: str) -> bytes:
    """One frame, that came in `syntax`, in one of `pacs.pixels.encode.ENCODABLE`, or for all else as Explicit VR Little
    Endian has it. Raises PixelError, also where the metadata, which stay as they are, would tell the colours of a
    compressed one wrongly."""
    description = describe(attributes)
    if to_syntax not in ENCODABLE:
        return _native_frame(description, encoded, syntax, index)
    frame = decode_frame(description, encoded, syntax, _first_bit(description, syntax, index))
    told = "RGB" if description.photometric in ("YBR_RCT", "YBR_ICT") else description.photometric
    if to_syntax in LOSSLESS and frame.photometric != told:
        raise PixelError(
            f"decoded it is {frame.photometric}, not {told}: ask for the instance as application/dicom"
        )
    return encode_frame(frame, description, to_syntax)
