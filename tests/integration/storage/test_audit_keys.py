"""The key of the chain outlives a change of the secret key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pacs.settings import Settings
from storage.audit import keys
from storage.blobs.local import LocalStore
from storage.seals import WrongKey


def test_sealed_anew(tmp_path: Path) -> None:
    before = Settings(data=tmp_path, secret_key="a" * 32)
    now, objects = replace(before, secret_key="b" * 32), LocalStore(tmp_path / "objects")
    assert keys.reseal_key(now, objects) == 0, "there is none yet"
    key = keys.chain_key(before, objects)
    assert len(key) == keys.KEY_BYTES
    with pytest.raises(WrongKey):
        keys.chain_key(now, objects)
    assert keys.reseal_key(now, objects) == 0, "no key opens it"
    assert keys.reseal_key(replace(now, secret_key_before=before.secret_key), objects) == 1
    assert keys.chain_key(now, objects) == key
    assert key.hex().encode() not in objects.get(keys.OBJECT)
