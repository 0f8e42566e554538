"""Video as rendered resource (PS3.18 8.7.4): the stream of an instance that is one, as it was stored; none is made."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from pacs.errors import CannotRender
from pacs.pixels.video import HEAD_BYTES, container_of
from storage.archive import Archive
from storage.location import Located
from storage.retrieve import cut, frame_ranges, read_ranges
from viewer_api.dicomweb.frames import stored
from viewer_api.dicomweb.media import Accept, choose
from viewer_api.dicomweb.ranges import ranged


def film(request: Request, accept: Accept, archive: Archive, located: Located) -> Response:
    """The stream, or the range of it that a player asks for. Raises CannotRender, NotAcceptable."""
    ranges = frame_ranges(located, 0)
    media_type = container_of(b"".join(read_ranges(archive, located, cut(ranges, 0, HEAD_BYTES))))
    if media_type is None:
        raise CannotRender("this video is in no container; transfer-syntax=* gives it as received")
    choose(accept, [media_type], multipart=False)
    answer = ranged(
        request, stored(archive, located, media_type, ranges), f"{located.entry.sha256}-1-rendered"
    )
    answer.headers["Cache-Control"] = "private, max-age=3600"
    return answer
