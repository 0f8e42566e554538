"""Ranges of large objects as memory that no process has to hold: pages of a file, which the system reads when they are
looked at and may drop at any time."""

from __future__ import annotations

import errno
import hashlib
import mmap

STEP_BYTES = 16 * 1024 * 1024  # hashed before its pages are given back


def map_file(descriptor: int, offset: int, length: int) -> memoryview:
    """`length` bytes of an open file, which may be closed afterwards; raises OSError where it has fewer."""
    skipped = offset % mmap.ALLOCATIONGRANULARITY
    try:
        pages = mmap.mmap(descriptor, skipped + length, offset=offset - skipped, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise OSError(errno.EIO, "the file ends before the range does") from error
    return memoryview(pages)[skipped : skipped + length]


def sha256(data: memoryview) -> str:
    """In hexadecimal digits; of what is mapped no more than STEP_BYTES stay in memory."""
    digest = hashlib.sha256()
    for start in range(0, len(data), STEP_BYTES):
        digest.update(data[start : start + STEP_BYTES])
        if isinstance(data.obj, mmap.mmap):
            data.obj.madvise(mmap.MADV_DONTNEED)
    return digest.hexdigest()
