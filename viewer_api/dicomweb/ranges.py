"""Byte ranges and entity tags of answers that are one sequence of bytes (RFC 9110 13.1, 14)."""

from __future__ import annotations

import re

from fastapi import HTTPException, Request
from fastapi.responses import Response

from viewer_api.dicomweb.multipart import Part, single_answer

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


def ranged(request: Request, part: Part, tag: str) -> Response:
    """The part, the range of it that is asked for, or 304 where the caller has it; `tag` names these bytes and no
    others. Raises HTTPException 416."""
    etag = f'"{tag}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Vary": "Accept"}
    if _tags(request.headers.get("if-none-match", "")) & {etag, "*"}:
        return Response(status_code=304, headers=headers)
    found = _range(request, part.length, etag)
    if found is None:
        answer = single_answer(part)
    else:
        start, end = found
        answer = single_answer(part.cut(start, end))
        answer.status_code = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{part.length}"
    answer.headers.update(headers)
    return answer


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


def _range(request: Request, length: int, etag: str) -> tuple[int, int] | None:
    """Its first byte, and the one behind its last; None where all is asked for: also by several ranges, or by what is
    no range, which a server may do (RFC 9110 14.2)."""
    asked = _ONE_RANGE.match(request.headers.get("range", "").replace(" ", ""))
    unchanged = request.headers.get("if-range", etag) == etag
    if asked is None or not unchanged or asked.groups() == ("", ""):
        return None
    first, last = asked.groups()
    if not first:
        start, end = max(0, length - int(last)), length
    else:
        start, end = int(first), min(length, int(last) + 1) if last else length
        if last and int(last) < start:
            return None
    if start >= length or start == end:
        raise HTTPException(416, f"There are {length} bytes", {"Content-Range": f"bytes */{length}"})
    return start, end
