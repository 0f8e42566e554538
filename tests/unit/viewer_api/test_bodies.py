"""Multipart bodies in pieces of any length: parts have their headers and their content, and are not without number."""

from __future__ import annotations

import pytest

from viewer_api.dicomweb import bodies
from viewer_api.dicomweb.bodies import BadBody, Parts

BODY = b"".join(
    b"--frontier\r\nContent-Type: a/b\r\nContent-Location: %d\r\n\r\n%d\r\n--front\r\n" % (n, n)
    for n in range(5)
)


def parts(body: bytes, piece: int) -> Parts:
    return Parts(iter([body[at : at + piece] for at in range(0, len(body), piece)]), "frontier")


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 50, 64, 100, 1000])
def test_parts_have_all_their_headers(piece: int) -> None:
    found = parts(BODY + b"--frontier--", piece)
    read = [(part.headers, found.read(part, 100)) for part in found]
    assert read == [
        ({"content-type": "a/b", "content-location": str(n)}, b"%d\r\n--front" % n) for n in range(5)
    ]


@pytest.mark.parametrize("piece", [1, 1000])
def test_parts_without_headers(piece: int) -> None:
    found = parts(b"--frontier\r\n\r\nx\r\n--frontier\r\n\r\n\r\n--frontier--", piece)
    assert [found.read(part, 9) for part in found] == [b"x", b""]


def test_more_parts_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PARTS_MAX", 4)
    with pytest.raises(BadBody) as raised:
        list(parts(BODY + b"--frontier--", 1000))
    assert raised.value.status_code == 413
