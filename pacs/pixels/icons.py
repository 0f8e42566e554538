"""Icons for what has no picture: reports, documents, signals, and frames that cannot be shown."""

from PIL import Image, ImageDraw, ImageFont

from pacs.pixels.pictures import Kind, save

SIDE = 256  # pixels
_OVERSAMPLING = 4  # drawn larger and reduced, as Pillow's shapes have hard edges
_LABEL_MAX, _SUBLABEL_MAX = 12, 28  # characters

_GROUND = (0, 0, 0)
_PAGE = (233, 237, 242)
_FOLD = (186, 196, 208)
_RULE = (203, 211, 221)
_INK = (255, 255, 255)
_FAINT = (90, 102, 117)
_ACCENTS = {  # a colour for a kind of object, so that a wall of icons can be told apart
    "SR": (37, 99, 176),
    "KO": (191, 129, 17),
    "PR": (122, 84, 178),
    "PDF": (190, 52, 52),
    "CDA": (190, 52, 52),
    "ECG": (22, 135, 94),
    "AU": (14, 124, 140),
    "SEG": (178, 74, 132),
    "RTSTRUCT": (178, 74, 132),
    "RTPLAN": (178, 74, 132),
}
_ACCENT = (84, 99, 118)

_Box = tuple[float, float, float, float]


def icon(label: str, sublabel: str | None = None, kind: Kind = "jpeg") -> bytes:
    """A picture file of 256 × 256 pixels: a page on black with a band that bears `label`.

    `label` is a short Latin word (SR, PDF, ECG …), `sublabel` a line below it; both are shortened to fit.
    """
    image = Image.new("RGB", (SIDE * _OVERSAMPLING,) * 2, _GROUND)
    draw = ImageDraw.Draw(image)
    label = label[:_LABEL_MAX].strip()
    _page(draw, has_sublabel=sublabel is not None)
    _box(draw, (40, 104, 216, 160), _ACCENTS.get(label.upper(), _ACCENT), radius=8)
    _text(draw, (128, 132), label, _INK, size=38, width=160)
    if sublabel is not None:
        _text(draw, (128, 186), sublabel[:_SUBLABEL_MAX].strip(), _FAINT, size=19, width=132)
    reduced = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return save(reduced, kind, quality=90)


def _page(draw: ImageDraw.ImageDraw, has_sublabel: bool) -> None:
    """A sheet with a folded corner and lines of writing, none where the sublabel stands."""
    _box(draw, (54, 20, 202, 236), _PAGE, radius=10)
    fold = 38
    _polygon(draw, [(202 - fold, 18), (204, 18), (204, 20 + fold)], _GROUND)
    _polygon(draw, [(202 - fold, 20), (202 - fold, 20 + fold), (202, 20 + fold)], _FOLD)
    lines = [(48, 150), (66, 150), (84, 184), (218, 150)]
    lines += [] if has_sublabel else [(182, 184), (200, 184)]
    for y, right in lines:
        _box(draw, (72, y - 3, right, y + 3), _RULE, radius=3)


def _box(draw: ImageDraw.ImageDraw, box: _Box, fill: tuple[int, int, int], radius: int) -> None:
    scaled = [side * _OVERSAMPLING for side in box]
    draw.rounded_rectangle(scaled, radius * _OVERSAMPLING, fill=fill)


def _polygon(draw: ImageDraw.ImageDraw, points: list[tuple[int, int]], fill: tuple[int, int, int]) -> None:
    draw.polygon([(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points], fill=fill)


def _text(
    draw: ImageDraw.ImageDraw,
    centre: tuple[int, int],
    text: str,
    fill: tuple[int, int, int],
    size: int,
    width: int,
) -> None:
    """Text centred on a point, made smaller until it is at most `width` pixels wide."""
    font = ImageFont.load_default(size * _OVERSAMPLING)
    length = draw.textlength(text, font=font)
    if length > width * _OVERSAMPLING:
        font = ImageFont.load_default(size * _OVERSAMPLING * width * _OVERSAMPLING / length)
    x, y = (side * _OVERSAMPLING for side in centre)
    draw.text((x, y), text, fill=fill, font=font, anchor="mm")
