"""Whatever the bytes: an Instance or EncodedError, in bounded time and memory, and valid JSON."""

import contextlib
import json
import struct
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pacs.encoded import EncodedError, Instance, Limits, inflate_dataset, read_file_meta, read_instance

from .samples import packaged, part10

SECONDS_MAX = 1.0
LIMITS = Limits(inflate_bytes_max=1 << 20, elements_max=20_000, fragments_max=20_000, frames_max=20_000)
SEEDS = tuple(
    packaged(name)[:6000]
    for name in (
        "CT_small.dcm",
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "nested_priv_SQ.dcm",
        "UN_sequence.dcm",
        "reportsi.dcm",
        "chrH32.dcm",
        "chrKoreanMulti.dcm",
        "SC_rgb_rle_2frame.dcm",
        "image_dfl.dcm",
        "rtplan.dcm",
        "693_J2KI.dcm",
    )
)
_INTERESTING = st.sampled_from(
    (
        b"\xff\xff\xff\xff",
        b"\xfe\xff\x00\xe0",
        b"\xfe\xff\x0d\xe0\0\0\0\0",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
        b"SQ\0\0\xff\xff\xff\xff",
        b"UN\0\0\xff\xff\xff\xff",
        b"OB\0\0\xff\xff\xff\xff",
        b"\xe0\x7f\x10\x00",
        b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192",
        b"\x1b$B\x1b$)C\x1b(J\x1b",
        b"\xd5\xc5\x5c\xe4\xe4",
        b"\x28\x00\x08\x00IS\x0a\x009999999999",
    ),
)
_NUMBER = st.integers(0, 2**32 - 1).map(lambda number: struct.pack("<I", number))
_CHUNK = st.one_of(_INTERESTING, st.binary(max_size=12), _NUMBER)
_EDIT = st.tuples(st.sampled_from(("over", "insert", "delete")), st.integers(120, 6000), _CHUNK)
_fuzz = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def _edited(seed: bytes, edits: list[tuple[str, int, bytes]], length: int) -> bytes:
    data = bytearray(seed)
    for how, place, chunk in edits:
        at = place % (len(data) + 1)
        stop = {"over": at + len(chunk), "insert": at, "delete": at + len(chunk) * 2}[how]
        data[at:stop] = b"" if how == "delete" else chunk
    return bytes(data[:length])


def _bounded(read: Callable[[], Instance]) -> Instance | None:
    start = time.thread_time()
    try:
        instance = read()
    except EncodedError:
        return None
    finally:
        assert time.thread_time() - start < SECONDS_MAX
    json.dumps(instance.attributes, allow_nan=False).encode()
    return instance


def _check_ranges(instance: Instance, size: int) -> None:
    """Every range lies in the bytes, unless they are those of an inflated data set."""
    for value in () if instance.deflated else instance.bulk:
        assert 0 <= value.offset <= value.offset + value.length <= size
    for frame in () if instance.pixels is None or instance.deflated else instance.pixels.frames:
        assert all(0 <= offset <= offset + length <= size for offset, length in frame)
    assert list(instance.attributes) == sorted(instance.attributes)
    assert len(instance.notes) <= LIMITS.notes_max


@_fuzz
@given(st.sampled_from(SEEDS), st.lists(_EDIT, min_size=1, max_size=8), st.integers(132, 6000))
def test_edited_headers(seed: bytes, edits: list[tuple[str, int, bytes]], length: int) -> None:
    data = _edited(seed, edits, length)
    instance = _bounded(lambda: read_instance(data, limits=LIMITS))
    if instance is not None:
        _check_ranges(instance, len(data))


@_fuzz
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    read_file_meta(data)
    _bounded(lambda: read_instance(data, limits=LIMITS))


@_fuzz
@given(st.lists(st.one_of(_INTERESTING, st.binary(max_size=6)), max_size=40))
def test_any_elements_after_a_good_start(chunks: list[bytes]) -> None:
    data = part10(b"".join(chunks))
    instance = _bounded(lambda: read_instance(data, limits=LIMITS))
    assert instance is not None
    assert instance.attributes["00080018"]["Value"] == ["1.2.3.4"]
    _check_ranges(instance, len(data))


@_fuzz
@given(st.binary(max_size=300))
def test_any_deflated_bytes(tail: bytes) -> None:
    data = packaged("image_dfl.dcm")[:400] + tail
    _bounded(lambda: read_instance(data, limits=LIMITS))
    with contextlib.suppress(EncodedError):
        assert len(inflate_dataset(data, LIMITS)) <= LIMITS.inflate_bytes_max


@pytest.mark.parametrize("seed", SEEDS)
def test_every_truncation(seed: bytes) -> None:
    for length in range(0, min(len(seed), 2500), 3):
        data = seed[:length]
        instance = _bounded(lambda data=data: read_instance(data, limits=LIMITS))  # type: ignore[misc]
        if instance is not None:
            _check_ranges(instance, length)


def test_memory_stays_near_the_size_of_the_input() -> None:
    seed = packaged("rtplan.dcm")
    tracemalloc.start()
    for place in range(200, 2600, 8):
        data = seed[:place] + b"\xff\xff\xff\x7f" + seed[place + 4 :]
        _bounded(lambda data=data: read_instance(data, limits=LIMITS))  # type: ignore[misc]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * len(seed) + (8 << 20)
