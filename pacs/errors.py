"""What can go wrong, named by what happened. Each edge maps these to its own wire codes, in one table."""


class TongyingError(Exception):
    """The base of every error that we raise on purpose; its text may be shown to the caller."""


class SettingError(TongyingError):
    """A setting cannot be used."""


class OutOfResources(TongyingError):
    """The bytes cannot be made durable now: disk low, write or fsync failed (promise P2)."""


class TooLarge(TongyingError):
    """More bytes than a limit allows."""


class InvalidUID(TongyingError):
    """Not a UID by PS3.5 9.1."""


class BadQuery(TongyingError):
    """A query that cannot be understood."""


class BadAttributes(TongyingError):
    """Attributes that cannot be taken: one is missing, or has no usable value; the text says which."""


class MissingAttribute(BadAttributes):
    """An attribute that must be there is not, or has no value."""


class UnsupportedSyntax(TongyingError):
    """Pixels in a transfer syntax that is unknown, or not one of their media type."""


class Final(TongyingError):
    """It has come to its end, and cannot be changed any more."""


class NotFound(TongyingError):
    """It does not exist, or the caller may not know that it does."""


class Forbidden(TongyingError):
    """The caller may not do this."""


class Conflict(TongyingError):
    """There is one already, under the same name or identifier."""


class NotAcceptable(TongyingError):
    """It exists, but not in a form that the caller accepts."""


class CannotRender(TongyingError):
    """There are no pixels, or they cannot be decoded; the text says which frame."""


class ObjectMissing(TongyingError):
    """An object is not in the object store."""
