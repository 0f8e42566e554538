"""HL7 orders as worklist entries: fields by IHE's mapping, character sets, and what is refused and where."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.hl7message import CHARACTERS_MAX, OrderError, read_message, refuse
from pacs.orders import orders_of
from pacs.values import Json, da_text, text, values
from pacs.worklist import BYTES_MAX, Order, step_of
from tests.support.hl7 import omi, orm


def read(message: str, encoding: str = "utf-8") -> list[Order]:
    return orders_of(read_message(message.encode(encoding)))


def entry(message: str, encoding: str = "utf-8") -> Json:
    (order,) = read(message, encoding)
    assert not order.cancel
    return order.attributes


def test_an_orm_by_rad_4() -> None:
    found = entry(orm())
    assert values(found, "00100010") == [{"Alphabetic": "Wang^Xiao", "Ideographic": "王^小"}]
    expected = {
        "00100020": "P1", "00100021": "HIS", "00100030": "19800203", "00100040": "M", "00080050": "A1",
        "00401001": "RP1", "00321060": "头部 & 颈部", "0020000D": "1.2.3.4", "00080090": "Li^Lei",
        "00321032": "Zhao^Yun", "00401003": "STAT", "00402016": "PL1", "00402017": "FI1", "00401002": "headache",
        "00380010": "V77", "00380300": "WARD 101 2", "00101040": "Road 1", "00321033": "心内科",
    }  # fmt: skip
    assert {tag: text(found, tag) for tag in expected} == expected
    step = step_of(found)
    expected = {"00080060": "CT", "00400001": "CT_1", "00400002": "20260705", "00400003": "101500", "00400009": "S1",
                "00400007": "CT Head"}  # fmt: skip
    assert {tag: text(step, tag) for tag in expected} == expected
    assert text(values(found, "00321064")[0], "00080100") == "HEAD"
    assert text(values(step, "00400008")[0], "00080104") == "CT Head"


def test_an_omi_with_two_steps() -> None:
    first, second = (o.attributes for o in read(omi()))
    assert [text(step_of(e), "00400009") for e in (first, second)] == ["S1", "S2"]
    assert [text(step_of(e), "00080060") for e in (first, second)] == ["CT", "MR"]
    assert [text(step_of(e), "00400001") for e in (first, second)] == ["CT_1", "MR_1"]
    assert text(first, "00080050") == text(second, "00080050") == "A2"
    assert text(first, "0020000D") == "1.2.3.5"
    assert (text(step_of(first), "00400002"), text(step_of(first), "00400003")) == ("20260706", "083000")
    assert text(first, "00401003") == "STAT"
    assert text(step_of(first), "00400011") == "ROOM 3"


def test_an_omg_is_read_too() -> None:
    assert text(entry(orm().replace("ORM^O01^ORM_O01", "OMG^O19^OMG_O19")), "00080050") == "A1"


def test_several_orders_in_one_message() -> None:
    lines = orm().split("\r")
    again = [line.replace("|A1|RP1|S1|", "|A2|RP2|S2|") for line in lines[3:5]]
    found = [o.attributes for o in read("\r".join([*lines[:5], *again, lines[6], ""]))]
    assert [text(e, "00080050") for e in found] == ["A1", "A2"]
    assert [text(e, "0020000D") for e in found] == ["1.2.3.4", "1.2.3.4"]  # one ZDS, at the end, is for all


@pytest.mark.parametrize("control", ["CA", "DC", "OC", "OD"])
def test_cancelled(control: str) -> None:
    (order,) = read(orm(control))
    assert order.cancel
    assert text(order.attributes, "00080050") == "A1"
    assert text(step_of(order.attributes), "00400009") == "S1"
    assert all(o.cancel for o in read(omi(control)))


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("UNICODE UTF-8", "utf-8"), ("GB 18030-2000", "gb18030"), ("", "gbk"), ("", "utf-8"), ("8859/1", "gbk"),
        ("ASCII", "gb18030"), ("GBK", "gbk"), ("BIG-5", "big5"), ("UNICODE UTF-8~GB 18030-2000", "utf-8"),
    ],
)  # fmt: skip
def test_names_in_many_character_sets(charset: str, encoding: str) -> None:
    """Also undeclared, and declared wrongly, as in the field."""
    body = orm(name="王^小明", charset=charset).replace("头部 \\T\\ 颈部", "").replace("心内科", "")
    assert values(entry(body, encoding), "00100010") == [{"Alphabetic": "王^小明"}]


def test_names_whose_bytes_look_like_delimiters() -> None:
    """GBK characters whose second byte is | ^ ~ \\ or &'s neighbour."""
    name = "".join(bytes([high, low]).decode("gbk") for high in (0x8C, 0x90, 0xB0) for low in b"|^~\\")
    for charset in ("GB 18030-2000", ""):
        found = entry(orm(name=f"王^{name}", charset=charset), "gbk")
        assert values(found, "00100010") == [{"Alphabetic": f"王^{name}"}]


def test_latin_names_stay_latin() -> None:
    message = (
        orm(name="Müller^Jürgen", charset="8859/1").replace("头部 \\T\\ 颈部", "x").replace("心内科", "")
    )
    assert values(entry(message, "latin-1"), "00100010") == [{"Alphabetic": "Müller^Jürgen"}]


def test_escapes() -> None:
    name = "O\\S\\x^a\\X41\\b\\.br\\c\\E\\d\\H\\e\\.sp99999999999\\f\\Zfoo\\g\\X4\\h"
    assert text(entry(orm(name=name)), "00100010") == "O x^aAb c de fgh"


@pytest.mark.parametrize("message", [orm(), orm().replace("\r", "\n"), orm().replace("\r", "\r\n")])
def test_line_ends(message: str) -> None:
    assert text(entry(message), "00080050") == "A1"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"accession": "", "step": ""}, ("FI1", "")),
        ({"accession": '""'}, ("FI1", "S1")),
    ],
)
def test_what_stands_in_for_an_accession_number(changed: dict[str, str], expected: tuple[str, str]) -> None:
    found = entry(orm(**changed))
    assert (text(found, "00080050"), text(step_of(found), "00400009")) == expected


def test_dates() -> None:
    for when, day, clock in [("20260705", "20260705", ""), ("202607051015+0800", "20260705", "1015"),
                             ("20260705101500.123", "20260705", "101500"), ("", "", ""), ("soon", "", "")]:  # fmt: skip
        step = step_of(entry(orm(when=when)))
        assert (text(step, "00400002"), text(step, "00400003")) == (day, clock)
    assert da_text(None) == ""


@pytest.mark.parametrize(
    ("message", "ack", "code", "location"),
    [
        ("", "AR", 100, "MSH^1"),
        ("GET / HTTP/1.1\r\n", "AR", 100, "MSH^1"),
        ("MSH", "AR", 100, "MSH^1"),
        ("MSH||||||||||\r", "AR", 100, "MSH^1^2"),
        ("MSHABCDEF|x", "AR", 100, "MSH^1^2"),
        (orm().replace("ORM^O01", "ADT^A01"), "AR", 200, "MSH^1^9"),
        (orm() + orm(), "AR", 100, "MSH^2"),
        (orm(charset="KLINGON"), "AE", 103, "MSH^1^18"),
        (orm("SC"), "AE", 103, "ORC^1^1"),
        (orm(name=""), "AE", 101, "PID^1^5"),
        (orm().replace("P1^^^HIS", "^^^HIS"), "AE", 101, "PID^1^3"),
        (orm(modality=""), "AE", 101, "OBR^1^24"),
        (omi(steps=(("S1", ""),)), "AE", 101, "IPC^1^5"),
        (orm().split("ORC")[0], "AE", 100, "ORC^1"),
        (orm() + "OBR|1\r" * (CHARACTERS_MAX // 5), "AE", 207, "MSH^1"),
    ],
)
def test_what_is_refused_and_where(message: str, ack: str, code: int, location: str) -> None:
    with pytest.raises(OrderError) as caught:
        read(message)
    assert (caught.value.ack, caught.value.code, caught.value.location) == (ack, code, location)


def test_too_many_orders() -> None:
    with pytest.raises(OrderError, match="at most"):
        read(orm() + ("OBR|1|2|3" + "|" * 21 + "CT\r") * 300)


def test_bytes_that_are_not_what_they_say() -> None:
    with pytest.raises(OrderError) as caught:
        read_message(orm().encode("gb18030"))  # declared as UTF-8
    assert caught.value.location == "MSH^1^18"


def test_acknowledgements() -> None:
    message = read_message(orm(message_id="ID77").encode())
    header, msa = message.acknowledge().decode().rstrip("\r").split("\r")
    fields = header.split("|")
    assert fields[2:6] == ["TONGYING", "REGION", "RIS", "HOSPITAL"]
    assert (fields[8], fields[10], fields[11], fields[17]) == ("ACK^O01^ACK", "P", "2.3.1", "UNICODE UTF-8")
    assert msa == "MSA|AA|ID77"
    _, msa, err = (
        message.acknowledge(OrderError("AE", 101, "PID^1^3", "miss|ing")).decode().rstrip("\r").split("\r")
    )
    assert msa == "MSA|AE|ID77|miss ing"
    assert err == "ERR||PID^1^3|101^Required field missing^HL70357|E||||miss ing"
    assert b"MSA|AR|" in refuse(OrderError("AR", 100, "MSH^1", "no"))


def test_dense_messages_cost_little() -> None:
    started = time.thread_time()
    read(orm() + "NTE|" + "a^b&c~|" * 100_000 + "\r")  # segments that are not read are not split
    assert time.thread_time() - started < 1
    assert BYTES_MAX < CHARACTERS_MAX


@given(st.data())
def test_mutilated_messages_are_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(orm().encode())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=4))
    try:
        message = read_message(bytes(raw))
    except OrderError as error:
        refuse(error)
        return
    with contextlib.suppress(OrderError):
        orders_of(message)
    assert message.acknowledge()
