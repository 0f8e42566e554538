"""Metadata: what instances share is written once, and reads as if each had been written alone."""

from __future__ import annotations

import gzip
import json

from storage import contents

NAME = {"vr": "PN", "Value": [{"Alphabetic": "Zhang^San", "Ideographic": "张^三"}]}


def test_what_is_shared_reads_as_written_alone() -> None:
    lines = [
        {
            "00100010": NAME,
            "00200013": {"vr": "IS", "Value": [n]},
            "00100020": NAME if n == 2 else {"vr": "LO"},
        }
        for n in range(4)
    ]
    found = contents.decode_metadata(contents.encode_metadata(lines))
    assert [json.loads(line) for line in found] == lines
    assert found == [json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() for line in lines]


def test_twice_gives_the_same_bytes_which_any_gzip_reads() -> None:
    lines = [{"00100010": NAME}] * 3
    assert contents.encode_metadata(lines) == contents.encode_metadata(lines)
    assert json.loads(gzip.decompress(contents.encode_metadata(lines))) == lines
    assert json.loads(gzip.decompress(contents.encode_metadata([]))) == []
