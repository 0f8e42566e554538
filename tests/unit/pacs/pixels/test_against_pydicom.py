"""Every real frame decodes to what pydicom makes of it: lossless ones exactly, lossy ones nearly."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.pixels.utils import pixel_array

from pacs.pixels import _json, native
from pacs.pixels.attributes import representative_frame
from pacs.pixels.decode import decode_frame
from pacs.pixels.description import Frame, PixelError, describe
from pacs.pixels.frames import frames_of
from pacs.pixels.pictures import thumbnail

from .samples import image_files, name_of, packaged, read

FRAMES_MAX = 3  # of each file

# What must not decode, and the words that say why.
BROKEN = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "tiles",  # a delimiter written into its image header
    "MR_truncated.dcm": "8130 bytes where 8192",
    "nested_priv_SQ.dcm": "is absent",
}
LOSSY = {f"1.2.840.10008.1.2.4.{number}" for number in (50, 51)}
# The largest difference of lossy colour: pydicom rounds YBR before it turns it to RGB, libjpeg does not.
DIFFERENCE_MAX, DIFFERENCE_MEAN = 20, 0.2

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, on what modalities write

IMAGES = [path for path in image_files() if path.name not in BROKEN]


@pytest.mark.parametrize("path", IMAGES, ids=name_of)
def test_frames_are_pydicoms(path: Path) -> None:
    dataset = read(path)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    description = describe(dataset)
    for index, encoded in list(enumerate(frames_of(dataset)))[:FRAMES_MAX]:
        start = native.first_bit(description, index)
        frame = decode_frame(description, encoded, syntax, start)
        assert frame.array.shape == description.shape
        expected = _expected(dataset, index, frame)
        if expected is None:
            continue
        difference = np.abs(frame.array.astype(np.float64) - expected)
        assert difference.max() <= (DIFFERENCE_MAX if syntax in LOSSY else 0)
        assert difference.mean() < DIFFERENCE_MEAN


@pytest.mark.parametrize("path", IMAGES, ids=name_of)
def test_thumbnails_are_256_pixels_each_way(path: Path) -> None:
    dataset = read(path)
    attributes = _json.from_dataset(dataset)
    index = representative_frame(attributes)
    encoded = frames_of(dataset)
    index = index if index < len(encoded) else 0
    frame = encoded[index]
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    picture = thumbnail(attributes, lambda at, count: frame[at : at + count], len(frame), syntax, index)
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.size) == ("JPEG", (256, 256))


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_say_why(name: str) -> None:
    dataset = packaged(name)
    with pytest.raises(PixelError, match=BROKEN[name]):
        decode_frame(describe(dataset), frames_of(dataset)[0], str(dataset.file_meta.TransferSyntaxUID))


@pytest.mark.parametrize(
    ("compressed", "original"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm"),
        ("emri_small_big_endian.dcm", "emri_small.dcm"),
        ("RG3_J2KR.dcm", "RG3_UNCR.dcm"),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb.dcm"),
        ("SC_rgb_rle_16bit.dcm", "SC_rgb_16bit.dcm"),
        ("SC_rgb_expb_32bit.dcm", "SC_rgb_32bit.dcm"),
        ("SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm"),
        ("OBXXXX1A_rle_2frame.dcm", "OBXXXX1A_2frame.dcm"),
        ("liver_expb_1frame.dcm", "liver_1frame.dcm"),
        ("color-pl.dcm", "color-px.dcm"),
        ("US1_J2KR.dcm", "US1_UNCR.dcm"),
    ],
)
def test_one_image_in_two_codings_is_one_image(compressed: str, original: str) -> None:
    assert np.array_equal(_first(compressed), _first(original))


def _first(name: str) -> NDArray[Any]:
    dataset = packaged(name)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    return decode_frame(describe(dataset), frames_of(dataset)[0], syntax).array


def _expected(dataset: FileDataset, index: int, frame: Frame) -> NDArray[Any] | None:
    """pydicom's values, None where the installed plugins have no decoder (JPEG lossless and JPEG-LS)."""
    turned = frame.photometric == "RGB" and dataset.PhotometricInterpretation.startswith("YBR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pixel_array(dataset, index=index, raw=not turned)
        except (RuntimeError, NotImplementedError, ValueError):
            return None
