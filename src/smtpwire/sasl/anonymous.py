"""ANONYMOUS (RFC 4505): nobody in particular, with a trace if he likes."""

from __future__ import annotations

from smtpwire.sasl.credentials import Anonymous
from smtpwire.sasl.errors import (
    BadChallengeError,
    UnusableCredentialsError,
)
from smtpwire.sasl.mechanism import (
    Ask,
    ClientExchange,
    ClientMechanismConfig,
    Failed,
    ServerExchange,
    ServerStep,
    Succeeded,
)
from smtpwire.sasl.names import decoded, encoded
from smtpwire.sasl.questions import AnonymousLogin
from smtpwire.sasl.saslprep import Preparation, prepared_name
from smtpwire.wire.checked import checked

__all__ = ["AnonymousClient", "AnonymousServer"]


def _acceptable(trace: str) -> bool:
    """RFC 4505 §2, §3: at most 255 characters, or a mail address; no controls."""
    if prepared_name(trace, Preparation.RAW) is None:
        return False
    return len(trace) <= (320 if "@" in trace else 255)  # RFC 5321 §4.5.3.1: 64 + 1 + 255


class AnonymousServer(ServerExchange):
    """One message: the trace, or nothing."""

    def step(self, response: bytes) -> ServerStep:
        response = checked("response", response, bytes)
        trace = decoded(response)
        if trace is None or not _acceptable(trace):
            return Failed("the trace is not acceptable", malformed=True)
        return Ask(AnonymousLogin(trace, self.name))

    def answer(self, accepted: bool) -> ServerStep:
        accepted = checked("accepted", accepted, bool)
        return Succeeded("anonymous") if accepted else Failed("credentials refused")


class AnonymousClient(ClientExchange):
    """One message: the trace, or nothing."""

    def __init__(self, name: str, credentials: Anonymous, config: ClientMechanismConfig) -> None:
        super().__init__(name)
        if not _acceptable(credentials.trace):
            raise UnusableCredentialsError("ANONYMOUS: a trace of 255 characters, no controls")
        self._message = encoded(credentials.trace)

    def initial(self) -> bytes:
        self.complete = True
        return self._message

    def step(self, challenge: bytes) -> bytes:
        challenge = checked("challenge", challenge, bytes)
        raise BadChallengeError("ANONYMOUS has one message only")
