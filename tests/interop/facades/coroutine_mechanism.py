"""A SASL mechanism made of a coroutine: aiosmtpd's handlers write theirs so.

``await challenge(octets)`` inside of it sends a challenge and gives the client's response. The
coroutine must wait for nothing else.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from smtpwire.sasl import Ask, Challenge, Failed, PasswordLogin, ServerStep, Succeeded

__all__ = ["CoroutineMechanism", "challenge"]


class challenge:
    """Awaited, it is what the client has answered."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def __await__(self) -> Generator[bytes, bytes, bytes]:
        return (yield self._octets)


class CoroutineMechanism:
    """``play(arguments)`` plays the exchange; what it says in the end is asked of the application.

    ``arguments``: the mechanism's name and the initial response in base64, as they stood in the
    line. The question is a PasswordLogin that has no password: the coroutine has seen it, and the
    handler of the session knows what came of it.
    """

    client_first = True

    def __init__(self, name: str, play: Callable[[list[str]], Awaitable[str]]) -> None:
        self.name = name
        self._play = play
        self._steps: Generator[Any, Any, str] | None = None
        self._authcid = ""

    def start(self, initial: bytes | None) -> ServerStep:
        arguments = [self.name]
        if initial is not None:
            arguments.append(b64encode(initial).decode() or "=")
        self._steps = self._play(arguments).__await__()
        return self.step(None)

    def step(self, response: bytes | None) -> ServerStep:
        assert self._steps is not None
        try:
            return Challenge(self._steps.send(response))
        except StopIteration as stop:
            self._authcid = stop.value
            return Ask(PasswordLogin(self._authcid, "(seen)", "", self.name))

    def answer(self, accepted: bool) -> ServerStep:
        return Succeeded(self._authcid) if accepted else Failed("credentials refused")

    def supply(self, secret: object) -> ServerStep:
        return Failed("no secret was asked for")
