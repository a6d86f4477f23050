"""A client's side of AUTH: the exchange of one mechanism (RFC 4954 §4)."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections import deque
from typing import Final, final

from smtpwire.engine.events import AuthenticationEnded, AuthenticationOutcome, Identity
from smtpwire.engine.redaction import without_echoes
from smtpwire.sasl import PENDING, ClientMechanism, SaslError, family
from smtpwire.wire.command import Auth
from smtpwire.wire.octets import decode_base64
from smtpwire.wire.reply import Reply, proven_reply

__all__ = ["CANCEL", "Exchange", "encode_response"]

CANCEL: Final = b"*"
REMEMBERED: Final = 16
"""Responses of which a server's text shows none."""
LONGEST_SHOWN: Final = 3
"""Octets of a word too short to be looked for in a server's text: any text may have it."""
_PART: Final = re.compile(rb"[\0\x01 ]+")
"""What separates a password or a token from what stands before it."""

# RFC 4954 §6 and, for 523 and 524, RFC 5248. Every other 5yz is taken as 535 is: to try the same
# password again could lock the account.
_VERDICTS: Final = {
    **dict.fromkeys((500, 501, 504, 523, 524, 534, 538), AuthenticationOutcome.MECHANISM_REFUSED),
    **dict.fromkeys((502, 503, 530), AuthenticationOutcome.UNAVAILABLE),
}


def encode_response(response: bytes) -> bytes:
    """A response as a line without CRLF."""
    return b2a_base64(response, newline=False)


@final
class Exchange:
    """One AUTH command and its mechanism, from the first octet to the event that ends it.

    ``initial`` is the mechanism's initial response, if it has one; ``is_sent`` says whether it
    stands in the AUTH line.

    A mechanism may be the user's own. Whatever it raises cancels the exchange and is told by the
    event: what a peer sent never raises, and the connection goes on.
    """

    __slots__ = (
        "_cancelled",
        "_exception",
        "_identity",
        "_initial",
        "_is_sent",
        "_mechanism",
        "_objection",
        "_said",
        "auth",
        "waiting",
    )

    def __init__(
        self,
        auth: Auth,
        mechanism: ClientMechanism,
        identity: Identity,
        initial: bytes | None,
        is_sent: bool,
    ) -> None:
        self.auth: Auth = auth
        self.waiting: bool = False
        """The mechanism waits for the application."""
        self._mechanism = mechanism
        self._identity = identity
        self._initial = initial
        self._is_sent = is_sent
        self._cancelled: AuthenticationOutcome | None = None
        self._objection = ""
        self._exception: Exception | None = None
        # The last ones, for a server can ask without end.
        self._said: deque[bytes] = deque(() if initial is None else (initial,), maxlen=REMEMBERED)

    @property
    def cancelled(self) -> bool:
        """``*`` has been sent: only the end may follow."""
        return self._cancelled is not None

    @property
    def identity(self) -> Identity:
        """Who is authenticated by success."""
        return self._identity

    def respond(self, challenge: str) -> bytes | None:
        """The line that answers a 334; None where the mechanism waits for the application."""
        data = decode_base64(challenge.strip(" \t").encode())  # blanks around it are met
        if data is None and family(self._identity.mechanism).prompted:
            data = b""
        initial, self._initial = self._initial, None
        try:
            if initial is not None and (not self._is_sent or self._is_asked_again(data)):
                return encode_response(initial)
            if data is None:  # RFC 4954 §4: a client cancels
                return self._cancel("the challenge is no base64")
            response = self._mechanism.step(data)
            if response is not PENDING:
                return self._encoded(response)
        except Exception as error:
            return self._fail(error)
        self.waiting = True
        return None

    def _is_asked_again(self, data: bytes | None) -> bool:
        """Whether the first challenge says that the initial response has not been read.

        RFC 4954 §4: an empty one asks for it. So does any prompt where all has been said.
        """
        if family(self._identity.mechanism).prompted:
            return self._mechanism.complete
        return data == b""

    def answer(self, data: bytes) -> bytes:
        """The line that goes on after the application has given what was waited for."""
        self.waiting = False
        try:
            return self._encoded(self._mechanism.answer(data))
        except Exception as error:
            return self._fail(error)

    def _encoded(self, response: bytes) -> bytes:
        line = encode_response(response)
        self._said.append(response)
        return line

    def unrepeated(self, text: str) -> str:
        """What may be shown of a server's text that may repeat what it has been told, or a part."""
        named = (b"", self._identity.authcid.encode(), self._identity.authzid.encode())
        words = {encode_response(response) for response in self._said}
        words.update(part for response in self._said for part in _PART.split(response))
        hidden = [word for word in words if len(word) > LONGEST_SHOWN and word not in named]
        return without_echoes(text.encode(), hidden).decode("utf-8", "replace")

    def shown(self, reply: Reply) -> Reply:
        """The same of a reply: an error shows it, and whoever logs that."""
        text = self.unrepeated(reply.text)
        return reply if text == reply.text else proven_reply(reply.code, text, reply.enhanced)

    def ended(self, reply: Reply) -> AuthenticationEnded:
        """The server's reply has ended the exchange."""
        if reply.is_positive and self._cancelled is None:
            self._check_proof()
        return self._event(reply, self._cancelled or _verdict(reply))

    def unanswered(self, reply: Reply | None = None) -> AuthenticationEnded:
        """No verdict will come. ``reply`` is the one that closes the service, if one came."""
        return self._event(reply, self._cancelled or AuthenticationOutcome.UNANSWERED)

    def _event(self, reply: Reply | None, outcome: AuthenticationOutcome) -> AuthenticationEnded:
        try:
            error = self._mechanism.error
        except Exception as exception:
            error, self._exception = "", self._exception or exception
        shown = None if reply is None else self.shown(reply)
        return AuthenticationEnded(
            self.auth, shown, outcome, error, self._objection, self._exception
        )

    def _check_proof(self) -> None:
        """RFC 5802 §5: success without the server's proof is no success."""
        try:
            if self._mechanism.mutual and not self._mechanism.server_proven:
                self._objection = "the server says success without having proved itself"
                self._cancelled = AuthenticationOutcome.SERVER_NOT_PROVEN
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> bytes:
        """Cancel for what the mechanism raised."""
        if isinstance(error, SaslError):
            proven = not error.terminal
            return self._cancel(str(error), proven=proven)
        self._exception = error  # its text may hold anything, a secret too
        return self._cancel(f"{self._identity.mechanism} failed: {type(error).__name__}")

    def _cancel(self, objection: str, *, proven: bool = True) -> bytes:
        outcome = AuthenticationOutcome
        self._cancelled = outcome.OBJECTED if proven else outcome.SERVER_NOT_PROVEN
        self._objection = objection
        return CANCEL


def _verdict(reply: Reply) -> AuthenticationOutcome:
    """What a reply says that answers no cancellation."""
    if reply.is_positive:
        return AuthenticationOutcome.SUCCEEDED
    if reply.is_transient:
        return AuthenticationOutcome.TEMPORARY
    return _VERDICTS.get(reply.code, AuthenticationOutcome.FAILED)
