"""Video as it was stored: in which container the stream of an instance is (PS3.5 8.2.5 to 8.2.11)."""

from __future__ import annotations

HEAD_BYTES = 512
MP4, MPEG, TRANSPORT = "video/mp4", "video/mpeg", "video/mp2t"
CONTAINERS = (MP4, MPEG, TRANSPORT)
_TS_PACKET_BYTES = 188
_MPEG_STARTS = (
    b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3",
    b"\x00\x00\x01\xe0",
)  # pack, sequence, packet of video


def container_of(head: bytes) -> str | None:
    """The media type of a stream by its first HEAD_BYTES: an MP4 file, an MPEG transport, program or elementary stream
    (RFC 4337, 3555, 2045); None for what no player takes without more ado, such as bare H.264."""
    if head[4:8] == b"ftyp":  # ISO/IEC 14496-12 4.3: it comes first
        return MP4
    if head[:1] == b"\x47" and head[_TS_PACKET_BYTES : _TS_PACKET_BYTES + 1] in (b"\x47", b""):
        return TRANSPORT
    return MPEG if head.startswith(_MPEG_STARTS) else None
