"""A modality whose images lie in its memory: it does nothing but send, so that the receiver is what is measured.

One process, one association: `python -m bench.modality PORT CALLED_AE PDU_BYTES FOLDER…`. It says `ready`, waits for
a line, sends, and says `done`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pacs.encoded import read_file_meta, read_head
from tests.support.pdu import ASSOCIATE_AC, CT, EXPLICIT, message, peer, store_rq

PDV_HEADER_BYTES = 6
INSTANCE_UID = 0x00020003


def main(port: int, called: str, pdu_bytes: int, folders: list[Path]) -> None:
    """Raises AssertionError where an image is not taken."""
    messages = list(_messages(folders, pdu_bytes - PDV_HEADER_BYTES))
    print("ready", flush=True)
    sys.stdin.readline()
    with peer(port) as node:
        assert node.associate([(CT, (EXPLICIT,))], called=called).kind == ASSOCIATE_AC
        for one in messages:
            node.socket.sendall(one)
            status = node.answer().status
            assert status == 0, f"status {status:04X}"
        node.release()
    print("done", flush=True)


def _messages(folders: list[Path], piece_bytes: int) -> Iterator[bytes]:
    """C-STORE-RQs with their data sets, as P-DATA-TF PDUs."""
    for path in (p for folder in folders for p in sorted(folder.iterdir())):
        data = path.read_bytes()
        head, meta = read_head(data), read_file_meta(data)
        assert head.transfer_syntax == EXPLICIT
        request = store_rq(meta[INSTANCE_UID])
        yield b"".join(message(request, data[head.dataset_offset :], piece=piece_bytes))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), [Path(folder) for folder in sys.argv[4:]])
