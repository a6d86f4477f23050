"""The base of every error that the package raises on purpose, and the one of the body codec."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["BareLineEnding", "SmtpwireError"]

E = TypeVar("E", bound=BaseException)


class SmtpwireError(Exception):
    """Everything that the package raises on purpose, but for a mistake in an argument.

    An argument of a wrong type or value is a TypeError or a ValueError. Some kinds of this error
    are a ValueError too, where they say that a text or a message is no good one.
    """

    def __reduce__(self) -> tuple[object, ...]:
        # Python's own calls the constructor with args, which are not what a constructor here takes.
        return _made_again, (type(self), self.args), self.__dict__


class BareLineEnding(SmtpwireError, ValueError):
    """Content to be sent has a CR or LF that is not part of CRLF (RFC 5321 §2.3.8).

    Nothing of the chunk has been encoded, and the encoder has not changed.

    Attributes:
        offset: where it stands, counted in octets of content from the first chunk on.
        octet: ``b"\\r"`` or ``b"\\n"``.
    """

    def __init__(self, offset: int, octet: bytes) -> None:
        name = "CR" if octet == b"\r" else "LF"
        super().__init__(f"bare {name} at offset {offset} of the content")
        self.offset = offset
        self.octet = octet


def _made_again(cls: type[E], args: tuple[object, ...]) -> E:
    return cls.__new__(cls, *args)
