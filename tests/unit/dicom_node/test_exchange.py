"""The loop of the exchange's jobs, how a turn resumes, and how data sets are cut into fragments."""

from __future__ import annotations

import random
import threading
import uuid

import pytest

from dicom_node import exchange
from dicom_node.commands import elements, encode
from dicom_node.exchange import JOBS, run
from dicom_node.requestor import Answer, fragments
from dicom_node.turn import Row
from storage.contents import Entry
from storage.location import Located
from storage.sending import REFUSALS_MAX, Send


class Flaky:
    """Fails, works, fails."""

    name = "flaky"

    def __init__(self, stop: threading.Event) -> None:
        self.steps, self._stop = 0, stop

    def step(self) -> bool:
        self.steps += 1
        if self.steps == 6:
            self._stop.set()
        if self.steps % 2:
            raise RuntimeError("not now")
        return True


def test_a_job_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "FAILED_SECONDS", (0.01,))
    stop = threading.Event()
    job = Flaky(stop)
    thread = threading.Thread(target=run, args=(job, stop), daemon=True)
    thread.start()
    thread.join(10)
    assert job.steps == 6
    assert JOBS, "a list to which others add theirs"


def test_fragments_are_full_but_the_last_and_lose_nothing() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(300):
        pieces = [
            chance.randbytes(chance.choice((0, 1, 2, 15, 16, 17, 50))) for _ in range(chance.randrange(6))
        ]
        cut = list(fragments(pieces, 16))
        assert b"".join(bytes(data) for data, _ in cut) == b"".join(pieces)
        assert [last for _, last in cut] == [False] * (len(cut) - 1) + [True]
        assert all(len(data) == 16 for data, _ in cut[:-1])
        assert len(cut[-1][0]) <= 16
        assert len(cut[-1][0]) or not b"".join(pieces)


def row(sent: int, total: int = 4, tries: int = 1, instances: int = 4) -> Row:
    located = [
        Located(Entry(sop_instance=f"1.{n}", sop_class="1.2", transfer_syntax="1.3", pack=uuid.UUID(int=0),
                      offset=n, length=1, dataset_offset=0, sha256=""), "key", "1", "2")
        for n in range(instances)
    ]  # fmt: skip
    return Row(Send(1, "LOCAL", 1, None, total, sent, tries, 0), located)


def test_a_turn_resumes_where_the_last_one_ended() -> None:
    resumed = row(2)
    assert [one.entry.offset for one in resumed.pending()] == [2, 3]
    resumed.mark(resumed.located[3])
    assert (resumed.sent, all(resumed.done)) == (2, False), "what arrived behind a gap is sent again"
    resumed.mark(resumed.located[2])
    assert (resumed.sent, all(resumed.done)) == (4, True)
    assert len(row(2, total=3).pending()) == 4, "the series grew: from the beginning"


def test_an_instance_that_brings_the_receiver_down_does_not_keep_the_others() -> None:
    assert [one.entry.offset for one in row(1, tries=REFUSALS_MAX + 1).pending()] == [2, 3, 1]
    assert [one.entry.offset for one in row(1, tries=REFUSALS_MAX + 2).pending()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("status", "done"),
    [(0x0000, True), (0xB000, True), (0xB007, True), (0x0107, True), (0xA700, False), (0xA900, False),
     (0xC000, False), (0x0122, False), (0xFE00, False), (0xFF00, False)],
)  # fmt: skip
def test_a_warning_is_a_success(status: int, done: bool) -> None:
    assert Answer(status).done is done


def test_commands_are_padded_as_their_vr_asks() -> None:
    encoded = encode({0x0100: 1, 0x1000: "1.2.3", 0x1030: "ABC", 0x1031: 7})
    found = elements(encoded)
    assert found == {
        0x0000: (len(encoded) - 12).to_bytes(4, "little"), 0x0100: b"\1\0", 0x1000: b"1.2.3\0",
        0x1030: b"ABC ", 0x1031: b"\7\0",
    }  # fmt: skip
