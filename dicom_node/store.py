"""The C-STORE SCP: from a command and pieces of a data set to a durable record and its answer."""

from __future__ import annotations

from dicom_node import commands
from dicom_node.commands import Status, StoreRequest
from dicom_node.contexts import is_storage
from pacs.encoded import EncodedError
from pacs.errors import OutOfResources, TooLarge
from pacs.logs import get
from storage.reception import Reception
from storage.records import Origin
from storage.spool import Spool

log = get("store")
HIGH = 1  # priority of a C-STORE-RQ (PS3.7 9.3.1.1)


class StoreScp:
    """One association's C-STORE requests, one after the other (no asynchronous operations are negotiated)."""

    def __init__(self, spool: Spool) -> None:
        self._reception: Reception = Reception(spool)
        self._origin: Origin | None = None
        self._allowed, self._emergency = True, False
        self._request: StoreRequest | None = None
        self._refusal: tuple[Status, str] | None = None
        self._scratch = bytearray()
        self._size = 0
        self.stored = 0
        self.refused = 0

    @property
    def receiving(self) -> bool:
        """Whether a request waits for (more of) its data set."""
        return self._request is not None

    def serve(self, origin: Origin, *, allowed: bool = True, emergency: bool = False) -> None:
        """From whom the instances come, whether it may store, and whether all that it sends is urgent; known once the
        association is accepted."""
        self._origin, self._allowed, self._emergency = origin, allowed, emergency

    def begin(self, request: StoreRequest, abstract_syntax: str, transfer_syntax: str) -> None:
        """A C-STORE-RQ came on a presentation context of these."""
        assert self._origin is not None, "the association is accepted by now"
        self._request, self._refusal, self._size = request, None, 0
        if not self._allowed:
            self._refuse(Status.NOT_AUTHORISED, "the device has no role to store")
            return
        if not is_storage(abstract_syntax):
            self._refuse(Status.SOP_CLASS_NOT_SUPPORTED, "no storage was agreed on in this context")
            return
        if not request.instance_uid or not request.class_uid:
            self._refuse(Status.INVALID_OBJECT_INSTANCE, "the command has no SOP Class or Instance UID")
            return
        try:
            self._reception.begin(
                self._origin, request.class_uid, request.instance_uid, transfer_syntax,
                urgent=self._emergency or request.priority == HIGH,
            )  # fmt: skip
        except OutOfResources as error:
            self._refuse(Status.OUT_OF_RESOURCES, str(error))
        except EncodedError:
            self._refuse(Status.INVALID_OBJECT_INSTANCE, "the SOP Class or Instance UID is not a UID")

    def room(self, length: int) -> memoryview:
        """Where the next bytes of the data set go; of a request that is refused already, they go nowhere."""
        if self._refusal is None:
            try:
                return self._reception.room(length)
            except (OutOfResources, TooLarge) as error:
                self._refuse(Status.OUT_OF_RESOURCES, str(error))
        if len(self._scratch) < length:
            self._scratch = bytearray(length)
        return memoryview(self._scratch)[:length]

    def took(self, length: int) -> None:
        """The bytes are where `room` said."""
        self._size += length
        if self._refusal is None:
            self._reception.took(length)

    def end(self) -> bytes:
        """The data set is whole: make it durable, and give the C-STORE-RSP."""
        request, self._request = self._request, None
        assert request is not None, "begin first"
        if self._refusal is None and self._size == 0:
            self._refuse(Status.CANNOT_UNDERSTAND, "the data set is empty")
        if self._refusal is None:
            try:
                self._reception.commit()
                self.stored += 1
            except (OutOfResources, TooLarge) as error:
                self._refuse(Status.OUT_OF_RESOURCES, str(error))
        if self._refusal is not None:
            status, reason = self._refusal
            return commands.store_response(request, status, reason)
        return commands.store_response(request, Status.SUCCESS)

    def close(self) -> None:
        """The association is over; what did not arrive whole is forgotten."""
        self._request = None
        self._reception.close()

    def _refuse(self, status: Status, reason: str) -> None:
        self._refusal = (status, reason)
        self.refused += 1
        self._reception.discard()
        log.warning("store_refused", status=f"{status:04X}", reason=reason)
