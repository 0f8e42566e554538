"""What the tests of PS3.18 ask for, once for each test process."""

from __future__ import annotations

import pytest

from tests.support.ps318 import Held
from tests.support.ps318 import held as stored
from tests.support.server import Server


@pytest.fixture(scope="session")
def held(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Held:
    return stored(server, tmp_path_factory.mktemp("ps318"))
