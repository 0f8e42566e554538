"""Statements that are built once are compiled once: SQLAlchemy keeps what it made of those that have a key."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy.sql.base import Executable

import storage


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(storage.__path__, "storage."):
        if ".migrations." not in found.name:
            yield importlib.import_module(found.name)


def built_once() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in modules():
        for name, value in vars(module).items():
            several = value.items() if isinstance(value, Mapping) else [("", value)]
            found |= {
                f"{module.__name__}.{name} {key}": one for key, one in several if isinstance(one, Executable)
            }
    return found


STATEMENTS = built_once()


def test_there_are_such_statements() -> None:
    assert any(name.startswith("storage.lanes._WAITING_PACKS") for name in STATEMENTS)
    assert len(STATEMENTS) > 10


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_that_is_built_once_is_compiled_once(name: str) -> None:
    assert STATEMENTS[name]._generate_cache_key() is not None  # as an engine asks it
