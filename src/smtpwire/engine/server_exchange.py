"""One AUTH exchange on a server: a mechanism, and what is to be answered in the end."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping
from typing import final

from smtpwire.sasl import (
    Ask,
    Challenge,
    Failed,
    ServerFactory,
    ServerMechanism,
    ServerMechanismConfig,
    ServerStep,
    StoredSecret,
    Succeeded,
    server_mechanism,
)
from smtpwire.wire.octets import decode_base64
from smtpwire.wire.reply import Reply

__all__ = ["ServerExchange", "challenge_line"]


@final
class ServerExchange:
    """The mechanism that runs, and the reply the application chose for the end of it, if any.

    A mechanism may be the user's own. What it raises is kept in ``exception`` and ends the
    exchange: the peer could make it raise as often as it liked, and the connection goes on.
    ``announced``: a line among the responses that looks like BDAT or DATA, with a body behind it.
    """

    __slots__ = ("_mechanism", "announced", "exception", "name", "verdict")

    def __init__(self, name: str) -> None:
        self.name = name
        self.verdict: Reply | None = None
        self.exception: Exception | None = None
        self.announced = b""
        self._mechanism: ServerMechanism | None = None

    def start(
        self,
        config: Callable[[], ServerMechanismConfig],
        factories: Mapping[str, ServerFactory],
        given: bytes | None,
    ) -> ServerStep | None:
        """Begin with the initial response as AUTH has it; None: the mechanism takes none."""
        try:
            mechanism = server_mechanism(self.name, config(), mechanisms=factories)
            self._mechanism = mechanism
            if given is None:
                return _checked(mechanism.start(None))
            if not mechanism.client_first:
                return None
            initial = b"" if given == b"=" else decode_base64(given)
            if initial is None:
                return Failed("the initial response is no base64", malformed=True)
            return _checked(mechanism.start(initial))
        except Exception as error:
            return self._failed(error)

    def step(self, response: bytes) -> ServerStep:
        """The client's response to the last challenge."""
        return self._played(lambda mechanism: mechanism.step(response))

    def answer(self, accepted: bool) -> ServerStep:
        """The application's answer to a login."""
        return self._played(lambda mechanism: mechanism.answer(accepted))

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        """What is stored for the user."""
        return self._played(lambda mechanism: mechanism.supply(secret))

    def _played(self, move: Callable[[ServerMechanism], ServerStep]) -> ServerStep:
        mechanism = self._mechanism
        assert mechanism is not None, "nothing is asked before the mechanism has begun"  # noqa: S101
        try:
            return _checked(move(mechanism))
        except Exception as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> Failed:
        self.exception = error
        return Failed(f"{self.name} failed: {type(error).__name__}")  # its text may hold a secret


def _checked(step: ServerStep) -> ServerStep:
    """A mechanism of the user's own may give what is no step."""
    if not isinstance(step, Challenge | Ask | Succeeded | Failed):
        raise TypeError("a step is a Challenge, Ask, Succeeded or Failed")
    if isinstance(step, Challenge) and not isinstance(step.data, bytes):
        raise TypeError("a Challenge has bytes")
    return step


def challenge_line(data: bytes) -> bytes:
    """A challenge as a reply: ``334`` and base64, the blank also where that is empty (§4)."""
    return b"334 " + b2a_base64(data, newline=False) + b"\r\n"
