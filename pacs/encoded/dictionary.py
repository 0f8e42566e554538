"""From a tag to its value representation, from pydicom's transcription of PS3.6 and private dictionaries.

pydicom is imported at the first look-up: it loads numpy and much else, and most commands read no data set.
"""

from functools import lru_cache

# PS3.5 7.1.2: these have a 16-bit length in explicit VR; all others, future ones too, have a 32-bit length.
SHORT_VRS = frozenset(("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN",
                       "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"))  # fmt: skip
LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
STANDARD_VRS = SHORT_VRS | LONG_VRS
AMBIGUOUS_VRS = frozenset(("US or SS", "US or OW", "US or SS or OW", "OB or OW"))
_CREATOR_CHARS_MAX = 64
_KNOWN = STANDARD_VRS | AMBIGUOUS_VRS


@lru_cache(maxsize=16_384)
def public_vr(tag: int) -> str | None:
    """The VR of a standard attribute, `None` if it has none; may be an ambiguous one such as "US or SS"."""
    from pydicom.datadict import dictionary_VR

    try:
        vr = str(dictionary_VR(tag))
    except KeyError:
        return None
    return vr if vr in _KNOWN else None


@lru_cache(maxsize=4_096)
def keyword_of(tag: int) -> str:
    """The keyword of a standard attribute, "" if it has none."""
    from pydicom.datadict import keyword_for_tag

    return str(keyword_for_tag(tag))


@lru_cache(maxsize=4_096)
def tag_of(keyword: str) -> int | None:
    """The reverse of `keyword_of`."""
    from pydicom.datadict import tag_for_keyword

    return tag_for_keyword(keyword) if keyword else None  # retired attributes have none


@lru_cache(maxsize=4_096)
def private_vr(tag: int, creator: str) -> str | None:
    """The VR of a private attribute whose creator is known to pydicom, else `None`."""
    if len(creator) > _CREATOR_CHARS_MAX:
        return None  # and none that the cache should hold
    from pydicom.datadict import private_dictionary_VR

    try:
        vr = str(private_dictionary_VR(tag, creator))
    except (KeyError, ValueError):
        return None
    return vr if vr in _KNOWN else None


def is_private(tag: int) -> bool:
    return bool(tag & 0x10000)


def creator_tag(tag: int) -> int | None:
    """The private creator element that reserves the block of a private tag (PS3.5 7.8.1)."""
    block = tag >> 8 & 0xFF
    return tag & 0xFFFF0000 | block if block >= 0x10 else None


def is_creator(tag: int) -> bool:
    return 0x10 <= tag & 0xFFFF <= 0xFF
