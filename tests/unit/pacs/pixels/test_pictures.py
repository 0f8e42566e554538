"""Picture files, proportions, thumbnails and icons."""

import io

import numpy as np
import pytest
from PIL import Image

from pacs.pixels.description import PixelError
from pacs.pixels.icons import icon
from pacs.pixels.pictures import Kind, encode, fit, thumbnail

from .samples import EXPLICIT, gradient, grey, photo


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("quality", [1, 75, 95, 400])
def test_files_hold_the_picture(kind: Kind, quality: int) -> None:
    for array in (gradient(40, 50), photo()):
        image = opened(encode(array, kind, quality))
        assert image.format == kind.upper()
        found = np.asarray(image.convert("L" if array.ndim == 2 else "RGB")).astype(int)
        assert np.abs(found - array).mean() < (0.01 if kind == "png" else 4 if quality > 1 else 40)


def test_pictures_too_long_for_the_format_are_refused() -> None:
    strip = np.zeros((1, 17_000), np.uint8)
    with pytest.raises(PixelError, match="webp"):
        encode(strip, "webp")
    assert opened(encode(strip, "jpeg")).size == (17_000, 1)


@pytest.mark.parametrize(
    ("rows", "columns", "aspect", "enlarge", "expected"),
    [
        (100, 100, 1.0, False, (100, 100)),
        (1_000, 500, 1.0, False, (256, 128)),
        (500, 1_000, 1.0, False, (128, 256)),
        (100, 100, 2.0, False, (200, 100)),
        (100, 100, 0.5, False, (100, 200)),
        (1_024, 256, 0.25, False, (256, 256)),
        (64, 32, 1.0, True, (256, 128)),
        (1, 5_000, 1.0, False, (1, 256)),
    ],
)
def test_fit(rows: int, columns: int, aspect: float, enlarge: bool, expected: tuple[int, int]) -> None:
    assert fit(gradient(rows, columns), 256, 256, aspect, enlarge).shape == expected
    coloured = np.repeat(gradient(rows, columns)[..., None], 3, axis=2)
    assert fit(coloured, 256, 256, aspect, enlarge).shape == (*expected, 3)


def test_fit_is_antialiased() -> None:
    checks = (np.indices((1_024, 1_024)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = fit(checks, 256, 256)
    assert small.min() > 120
    assert small.max() < 135


def test_thumbnails_stand_centred_on_black() -> None:
    attributes = grey(20, 40, x00280030=[1, 1])
    stored = np.full((20, 40), 4_000, np.uint16)
    stored[0, 0] = 0
    data = stored.tobytes()
    found = np.asarray(
        opened(thumbnail(attributes, lambda at, count: data[at : at + count], len(data), EXPLICIT))
    )
    assert found.shape == (256, 256)
    assert found[:60].max() < 10
    assert found[196:].max() < 10
    assert found[80:180, 40:].min() > 245


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize(
    ("label", "sublabel"), [("SR", None), ("RTSTRUCT", "Structures"), ("", ""), ("W" * 99, "W" * 99)]
)
def test_icons(kind: Kind, label: str, sublabel: str | None) -> None:
    image = opened(icon(label, sublabel, kind))
    assert (image.format, image.size) == (kind.upper(), (256, 256))
    corner = np.asarray(image)[:8, :8]
    assert corner.max() < 12


def test_icons_differ_by_label_and_not_by_time() -> None:
    assert icon("SR") == icon("SR")
    assert len({icon(label) for label in ("SR", "PDF", "ECG", "AU", "KO", "PR", "SEG", "RAW")}) == 8
