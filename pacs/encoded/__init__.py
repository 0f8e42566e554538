"""The parsing room: an instance's bytes in, its DICOM JSON and where its pixels are out. No I/O."""

from pacs.encoded.identifier import read_identifier
from pacs.encoded.instance import read_instance
from pacs.encoded.model import DEFAULT, BulkValue, EncodedError, Instance, Limits, PixelLayout
from pacs.encoded.part10 import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    Head,
    inflate_dataset,
    part10_header,
    read_file_meta,
    read_head,
)
from pacs.encoded.recall import Recall
from pacs.encoded.write import WRITABLE, write_dataset

__all__ = [
    "DEFAULT",
    "IMPLEMENTATION_CLASS_UID",
    "IMPLEMENTATION_VERSION_NAME",
    "WRITABLE",
    "BulkValue",
    "EncodedError",
    "Head",
    "Instance",
    "Limits",
    "PixelLayout",
    "Recall",
    "inflate_dataset",
    "part10_header",
    "read_file_meta",
    "read_head",
    "read_identifier",
    "read_instance",
    "write_dataset",
]
