"""A client's side of AUTH: the exchange of one mechanism (RFC 4954 §4)."""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final, final

from smtpwire.engine.events import AuthenticationOutcome, Identity
from smtpwire.sasl import PENDING, ClientMechanism, SaslError
from smtpwire.wire.command import Auth
from smtpwire.wire.octets import decode_base64
from smtpwire.wire.reply import Reply

__all__ = ["CANCEL", "Exchange", "encode_response"]

CANCEL: Final = b"*"

# RFC 4954 §6 and, for 523 and 524, RFC 5248: nothing is said against the credentials.
_MECHANISM_REFUSED: Final = frozenset({500, 501, 502, 504, 523, 524, 534, 538})


def encode_response(response: bytes) -> bytes:
    """A response as a line without CRLF."""
    return b2a_base64(response, newline=False)


@final
class Exchange:
    """One AUTH command, its mechanism, and whether it has been cancelled."""

    __slots__ = ("_cancelled", "_identity", "_mechanism", "auth", "waiting")

    def __init__(self, auth: Auth, mechanism: ClientMechanism, identity: Identity) -> None:
        self.auth = auth
        self.waiting = False
        """The mechanism waits for the application."""
        self._mechanism = mechanism
        self._identity = identity
        self._cancelled: AuthenticationOutcome | None = None

    @property
    def cancelled(self) -> bool:
        """``*`` has been sent: only the end may follow."""
        return self._cancelled is not None

    def respond(self, initial: bytes | None, challenge: str) -> bytes | None:
        """The line that answers a 334; None where the mechanism waits for the application.

        ``initial`` is the initial response where it was too long for the AUTH line: it answers
        the first, empty challenge.
        """
        if initial is not None:
            return encode_response(initial)
        data = decode_base64(challenge.strip(" \t").encode())  # blanks around it are met
        if data is None:  # RFC 4954 §4: a client cancels
            return self._cancel(AuthenticationOutcome.MECHANISM_REFUSED)
        try:
            response = self._mechanism.step(data)
        except SaslError as error:
            return self._fail(error)
        if response is PENDING:
            self.waiting = True
            return None
        return encode_response(response)

    def answer(self, data: bytes) -> bytes:
        """The line that goes on after the application has given what was waited for."""
        self.waiting = False
        try:
            return encode_response(self._mechanism.answer(data))
        except SaslError as error:
            return self._fail(error)

    def outcome(self, reply: Reply) -> AuthenticationOutcome:
        """What the reply that ends the exchange means."""
        if reply.is_positive:
            mechanism = self._mechanism
            if mechanism.mutual and not mechanism.server_proven:
                return AuthenticationOutcome.SERVER_NOT_PROVEN
            return self._cancelled or AuthenticationOutcome.SUCCEEDED
        if self._cancelled is not None:
            return self._cancelled
        if reply.is_transient:
            return AuthenticationOutcome.TEMPORARY
        if reply.code in _MECHANISM_REFUSED:
            return AuthenticationOutcome.MECHANISM_REFUSED
        return AuthenticationOutcome.FAILED

    @property
    def identity(self) -> Identity:
        """Who is authenticated by success."""
        return self._identity

    @property
    def error(self) -> str:
        """What the server said of a failure inside the exchange."""
        return self._mechanism.error

    def _fail(self, error: SaslError) -> bytes:
        if error.terminal:
            return self._cancel(AuthenticationOutcome.SERVER_NOT_PROVEN)
        return self._cancel(AuthenticationOutcome.MECHANISM_REFUSED)

    def _cancel(self, outcome: AuthenticationOutcome) -> bytes:
        self._cancelled = outcome
        return CANCEL
