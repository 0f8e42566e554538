"""Code extensions by the examples of PS3.5 Annexes H to K, and by what writers get wrong."""

import pytest

from pacs.encoded.charsets import decode, find_charset


def _text(raw: bytes, *terms: str, is_name: bool = True) -> str:
    charset = find_charset(terms)
    assert charset is not None
    text, understood = decode(raw, charset, is_name=is_name)
    assert understood
    return text


@pytest.mark.parametrize(
    ("terms", "raw", "expected"),
    [
        # PS3.5 H.3.1 and H.3.2
        (
            ("", "ISO 2022 IR 87"),
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            ("ISO 2022 IR 13", "ISO 2022 IR 87"),
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        ),
        (("", "ISO 2022 IR 87", "ISO 2022 IR 159"), b"\x1b$(D0(\x1b(B", "两"),
        # PS3.5 I.2
        (
            ("", "ISO 2022 IR 149"),
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        # PS3.5 J.3, J.4 and K.2
        (("ISO_IR 192",), "Wang^XiaoDong=王^小东".encode(), "Wang^XiaoDong=王^小东"),
        (("GB18030",), "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
        (
            ("", "ISO 2022 IR 58"),
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "Zhang^XiaoDong=张^小东=",
        ),
        (("ISO_IR 100",), "Buc^Jérôme".encode("latin-1"), "Buc^Jérôme"),
        (("ISO_IR 101",), "Wałęsa".encode("iso8859-2"), "Wałęsa"),
        (("ISO_IR 126",), "Διονυσιος".encode("iso8859-7"), "Διονυσιος"),
        (("ISO_IR 127",), "قباني^لنزار".encode("iso8859-6"), "قباني^لنزار"),
        (("ISO_IR 138",), "שרון^דבורה".encode("iso8859-8"), "שרון^דבורה"),
        (("ISO_IR 144",), "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
        (("ISO_IR 148",), "Çavuşoğlu".encode("iso8859-9"), "Çavuşoğlu"),
        (("ISO_IR 166",), "สมชาย".encode("tis-620"), "สมชาย"),
        (("ISO_IR 203",), "Œuvre €".encode("iso8859-15"), "Œuvre €"),
        (("ISO_IR 13",), b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (("ISO 2022 IR 100", "ISO 2022 IR 144"), b"Fran\xe7ois \x1b-L\xbb\xee\xda^\xe9", "François Люк^é"),
    ],
)
def test_examples(terms: tuple[str, ...], raw: bytes, expected: str) -> None:
    assert _text(raw, *terms) == expected


@pytest.mark.parametrize(
    ("terms", "raw", "expected"),
    [
        # Not designated again after "^", although PS3.5 6.1.2.5.3 asks for it.
        (("", "ISO 2022 IR 149"), b"\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7", "洪^吉洞"),
        # Not designated at all.
        (("", "ISO 2022 IR 149"), b"\xc8\xab^\xb1\xe6\xb5\xbf", "홍^길동"),
        (("ISO 2022 IR 149",), b"\xc8\xab", "홍"),
        (("", "GB18030"), "王".encode("gb18030"), "王"),
        # Shift JIS under ISO_IR 13.
        (("ISO_IR 13",), "山田ソ".encode("shift_jis"), "山田ソ"),
        # Terms as modalities spell them.
        (("ISO-IR 192",), "王".encode(), "王"),
        (("UTF-8",), "王".encode(), "王"),
        (("iso_ir 100",), b"\xe9", "é"),
        (("GB2312",), "王".encode("gb2312"), "王"),
        (("ISO 2022 GBK",), "镕".encode("gbk"), "镕"),
    ],
)
def test_what_writers_get_wrong(terms: tuple[str, ...], raw: bytes, expected: str) -> None:
    assert _text(raw, *terms) == expected


def test_a_delimiter_ends_what_was_designated() -> None:
    raw = b"\x1b-F\xc4\\\xc4"
    assert _text(raw, "ISO 2022 IR 100", "ISO 2022 IR 126", is_name=False) == "Δ\\Ä"


def test_unknown_terms() -> None:
    assert find_charset(("ISO_IR 9999",)) is None
    assert find_charset(("ISO_IR 100", "nonsense")) is not None


def test_unknown_escape_is_told() -> None:
    charset = find_charset(("ISO 2022 IR 100",))
    assert charset is not None
    assert decode(b"A\x1b-ZB", charset) == ("AB", False)
