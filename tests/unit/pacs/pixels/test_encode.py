"""Frames of real files in every compressed syntax that is offered: lossless ones come back bit for bit."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from pacs.pixels import native
from pacs.pixels.decode import decode_frame
from pacs.pixels.description import Frame, PixelDescription, PixelError, describe
from pacs.pixels.encode import BASELINE, LOSSLESS, encode_frame
from pacs.pixels.frames import frames_of
from pacs.transcode import EXPLICIT_LITTLE, transcoded
from tests.support.files import package_file

from .samples import image_files, name_of, packaged, read
from .test_against_pydicom import BROKEN

CELLS_MAX = 2_000_000  # larger frames add time, not kinds
PSNR_MIN = 34.0  # dB, of JPEG baseline
NAMES = ("CT_small.dcm", "MR_small.dcm", "examples_ybr_color.dcm", "US1_J2KR.dcm", "SC_rgb.dcm")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, on what modalities write

IMAGES = [path for path in image_files() if path.name not in BROKEN]


def first_frame(path: Path) -> tuple[PixelDescription, Frame]:
    dataset = read(path)
    description = describe(dataset)
    if description.cells > CELLS_MAX:
        pytest.skip(f"{description.cells} samples")
    start = native.first_bit(description, 0)
    frame = decode_frame(description, frames_of(dataset)[0], str(dataset.file_meta.TransferSyntaxUID), start)
    return replace(description, photometric=frame.photometric), frame


def compressible(description: PixelDescription) -> bool:
    return not description.is_float and description.bits_allocated in (8, 16)


@pytest.mark.parametrize("path", IMAGES, ids=name_of)
def test_lossless_is_bit_for_bit(path: Path) -> None:
    description, frame = first_frame(path)
    for syntax in sorted(LOSSLESS):
        if not compressible(description):
            with pytest.raises(PixelError, match="not compressed"):
                encode_frame(frame, description, syntax)
            continue
        back = decode_frame(description, encode_frame(frame, description, syntax), syntax)
        assert np.array_equal(back.array, frame.array), syntax
        assert back.photometric == frame.photometric, syntax


@pytest.mark.parametrize("path", IMAGES, ids=name_of)
def test_jpeg_baseline_is_near(path: Path) -> None:
    description, frame = first_frame(path)
    fits = compressible(description) and description.bits_stored <= 8 and not description.is_signed
    if not fits or frame.photometric not in ("MONOCHROME1", "MONOCHROME2", "RGB"):
        pytest.skip("not for JPEG baseline")
    with Image.open(io.BytesIO(encode_frame(frame, description, BASELINE))) as image:
        back = np.asarray(image).astype(np.float64)
    error = np.mean((back - frame.array) ** 2)
    assert error == 0 or 10 * np.log10(255**2 / error) > PSNR_MIN


@pytest.mark.parametrize("syntax", sorted(LOSSLESS))
@pytest.mark.parametrize("name", NAMES)
def test_whole_instances(name: str, syntax: str) -> None:
    """All frames, and attributes that fit them: decoded again they are what decoding at once gives."""
    original = package_file(name).read_bytes()
    anew = transcoded(original, syntax)
    dataset = dcmread(io.BytesIO(anew))
    assert str(dataset.file_meta.TransferSyntaxUID) == syntax
    back, plain = (dcmread(io.BytesIO(transcoded(d, EXPLICIT_LITTLE))) for d in (anew, original))
    assert back.PixelData == plain.PixelData
    assert back.PhotometricInterpretation == plain.PhotometricInterpretation
    assert back.SOPInstanceUID == plain.SOPInstanceUID


def test_what_has_no_place_in_a_syntax() -> None:
    dataset = packaged("CT_small.dcm")
    description = describe(dataset)
    frame = decode_frame(description, frames_of(dataset)[0], str(dataset.file_meta.TransferSyntaxUID))
    with pytest.raises(PixelError, match="JPEG baseline holds no samples of 16 bits"):
        encode_frame(frame, description, BASELINE)
    with pytest.raises(PixelError, match="not encoded in MPEG"):
        encode_frame(frame, description, "1.2.840.10008.1.2.4.100")
