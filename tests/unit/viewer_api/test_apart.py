"""Metadata in memory: so much of a request, so much of a process, and free again afterwards."""

from __future__ import annotations

import pytest

from pacs.dicomjson import NODES_MAX
from viewer_api.dicomweb.apart import (
    MEMORY_BYTES_MAX,
    MEMORY_FOR_BYTE,
    MEMORY_FOR_NODE,
    METADATA_BYTES_MAX,
    _Held,
)
from viewer_api.dicomweb.bodies import BadBody


def refused(held: _Held, size: int = 0, nodes: int = 0) -> int:
    with pytest.raises(BadBody) as raised:
        held.add(size, nodes)
    return int(raised.value.status_code)


def test_requests_share_what_a_process_holds() -> None:
    many = MEMORY_BYTES_MAX // (METADATA_BYTES_MAX * MEMORY_FOR_BYTE)
    held = [_Held() for _ in range(many + 1)]
    for one in held[:many]:
        one.add(METADATA_BYTES_MAX)
    assert refused(held[0], 1) == 413
    assert refused(held[many], METADATA_BYTES_MAX) == 503
    with held[0]:
        pass
    held[many].add(0, METADATA_BYTES_MAX * MEMORY_FOR_BYTE // MEMORY_FOR_NODE)
    for one in held[1:]:
        with one:
            pass
    assert _Held._together == 0


def test_values_are_counted_over_all_parts() -> None:
    with _Held() as held:
        held.add(nodes=NODES_MAX // 2)
        held.add(nodes=NODES_MAX // 2)
        assert refused(held, nodes=1) == 413
    assert _Held._together == 0
