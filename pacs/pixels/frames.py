"""The frames of a data set that is wholly in memory: a convenience for tests and tools.

The product itself holds frame offsets from ingest on and never parses pixel data twice.
"""

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from pacs.pixels.description import PixelError, from_dataset

_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def frames_of(dataset: Dataset) -> list[bytes]:
    """Each frame's bytes: native ones cut by size, encapsulated ones by either offset table or fragments.

    1 bit frames that share a byte both hold it (PS3.5 8.1.1). Raises PixelError without pixel data or frames.
    """
    keyword = next((word for word in _PIXEL_KEYWORDS if word in dataset), None)
    if keyword is None:
        raise PixelError("the instance has no pixel data")
    data: bytes = dataset[keyword].value
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return _encapsulated(dataset, data)
    return _native(dataset, data)


def _native(dataset: Dataset, data: bytes) -> list[bytes]:
    description = from_dataset(dataset)
    if description.bits_allocated == 1:
        bits = description.cells
        return [data[i * bits // 8 : -(-(i + 1) * bits // 8)] for i in range(description.frames)]
    size = description.frame_bytes
    if description.frames == 1:
        # Mislabelled 4:2:2 may be whole, and swapped bytes need the byte of padding.
        size = description.cells if len(data) // 2 * 2 == description.cells else size + size % 2
    return [data[i * size : (i + 1) * size] for i in range(description.frames)]


def _encapsulated(dataset: Dataset, data: bytes) -> list[bytes]:
    table = None
    if "ExtendedOffsetTable" in dataset:
        table = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    count = from_dataset(dataset).frames
    try:
        return list(generate_frames(data, number_of_frames=count, extended_offsets=table))
    except Exception as error:
        raise PixelError("the fragments cannot be put together to frames") from error
