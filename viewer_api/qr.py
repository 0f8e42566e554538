"""QR codes, for what a telephone should read from a screen or from paper."""

from __future__ import annotations

import io

import segno


def drawn(text: str) -> str:
    """An SVG of it, with its quiet zone."""
    picture = io.BytesIO()
    segno.make(text, error="m").save(picture, kind="svg", scale=4, border=4, light="#fff")
    return picture.getvalue().decode()
