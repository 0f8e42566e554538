"""Passwords of other systems: sealed in the table, open to who has the key alone."""

from __future__ import annotations

import contextlib
import stat
from dataclasses import replace

import pytest
from sqlalchemy import text

from dicom_node.orthanc import OrthancEdges
from pacs.errors import SettingError
from pacs.settings import Settings, from_environment
from storage import edges, seals
from storage.archive import Archive
from storage.edges import Edge, add_edge, find_edge, list_edges
from storage.remotes import Remote, add_remote, list_remotes

PASSWORD = "a password of 医院"
EDGE = Edge("HOSP", "LOCAL", "http://127.0.0.1:8042/", "tongying", PASSWORD)


def in_table(archive: Archive) -> str:
    with archive.database.begin() as connection:
        return str(connection.execute(text("SELECT password FROM remotes WHERE name = 'HOSP'")).scalar_one())


def of_key(archive: Archive, key: str) -> Archive:
    return replace(archive, settings=replace(archive.settings, secret_key=key))


def test_the_table_and_who_has_its_backup_do_not_know_it(archive: Archive) -> None:
    add_edge(archive, EDGE)
    assert seals.is_sealed(in_table(archive))
    assert PASSWORD not in in_table(archive)
    assert find_edge(archive, "HOSP").password == PASSWORD
    key = archive.settings.data / seals.KEY_FILE
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    first = in_table(archive)
    add_edge(archive, EDGE)
    assert in_table(archive) != first, "the same password does not look the same"


def test_what_stood_open_is_sealed_when_the_exchange_starts(archive: Archive) -> None:
    add_edge(archive, EDGE)
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE remotes SET password = :open"), {"open": PASSWORD})
    assert find_edge(archive, "HOSP").password == PASSWORD, "until then it works as it stands"
    with contextlib.closing(OrthancEdges(archive)) as job:
        job.step()
    sealed = in_table(archive)
    assert seals.is_sealed(sealed)
    assert edges.seal_passwords(archive) == 0
    assert find_edge(archive, "HOSP").password == PASSWORD


def test_another_key_opens_nothing_and_stops_nothing_else(archive: Archive) -> None:
    add_edge(archive, EDGE)
    add_edge(archive, Edge("OPEN", "LOCAL", "http://127.0.0.1:8043/"))
    other = of_key(archive, "x" * 40)
    found = {s.edge.name: s.edge for s in list_edges(other)}
    assert (found["HOSP"].password, found["OPEN"].locked) == ("", "")
    assert "another TONGYING_SECRET_KEY" in found["HOSP"].locked
    add_edge(other, EDGE)
    assert find_edge(other, "HOSP").password == PASSWORD, "it can be given again"


def test_the_same_key_on_several_nodes(archive: Archive) -> None:
    one, other = of_key(archive, "k" * 40), of_key(archive, "k" * 40)
    add_edge(one, EDGE)
    assert find_edge(other, "HOSP").password == PASSWORD


def test_whoever_changes_the_address_in_the_table_does_not_get_it(archive: Archive) -> None:
    add_edge(archive, EDGE)
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE remotes SET url = 'http://192.0.2.66/'"))
    assert find_edge(archive, "HOSP").password == ""


def test_no_password_is_no_secret(archive: Archive) -> None:
    add_edge(archive, replace(EDGE, password=""))
    assert in_table(archive) == ""
    assert find_edge(archive, "HOSP").password == ""


def test_it_is_never_told(archive: Archive) -> None:
    add_edge(archive, EDGE)
    assert PASSWORD not in repr(find_edge(archive, "HOSP"))
    assert PASSWORD not in repr(list_remotes(archive))
    assert not hasattr(list_remotes(archive)[0], "password")


def test_a_remote_does_not_take_the_name_of_an_orthanc(archive: Archive) -> None:
    add_edge(archive, EDGE)
    with pytest.raises(SettingError, match="name of an Orthanc"):
        add_remote(archive, Remote("HOSP", "PACS", "192.0.2.1", 104))
    assert find_edge(archive, "HOSP").url == EDGE.url


def test_a_key_that_cannot_be_used(archive: Archive) -> None:
    (archive.settings.data / seals.KEY_FILE).write_text("no key!")
    with pytest.raises(SettingError, match=r"secret\.key"):
        add_edge(archive, EDGE)
    with pytest.raises(SettingError, match="TONGYING_SECRET_KEY"):
        from_environment({"TONGYING_SECRET_KEY": "short"})
    assert isinstance(Settings(secret_key="k" * 32), Settings)
    assert edges.list_edges(archive) == []
    (archive.settings.data / seals.KEY_FILE).unlink()  # the fixture's check needs one
