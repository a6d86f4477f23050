"""PLAIN (RFC 4616): user name and password in one message, in the clear."""

from __future__ import annotations

from smtpwire.sasl.credentials import Password
from smtpwire.sasl.errors import (
    BadChallengeError,
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
from smtpwire.sasl.names import claimed_identity, decoded, received_name, sendable
from smtpwire.sasl.questions import PasswordLogin
from smtpwire.sasl.saslprep import prepared_password
from smtpwire.wire.checked import checked

__all__ = ["PlainClient", "PlainServer"]


class PlainServer(ServerExchange):
    """``[authzid] NUL authcid NUL passwd`` (RFC 4616 §2)."""

    _authcid = ""
    _authzid = ""

    def step(self, response: bytes) -> ServerStep:
        response = checked("response", response, bytes)
        parts = response.split(b"\0")
        if len(parts) != 3:
            return Failed("PLAIN wants exactly two NULs", malformed=True)
        preparation = self._config.preparation
        authcid = received_name(parts[1], preparation)
        password = decoded(parts[2])
        if authcid is None or not password:
            return Failed("user name or password is empty or not acceptable", malformed=True)
        authzid = claimed_identity(parts[0], authcid, preparation)
        prepared = prepared_password(password, preparation)
        # RFC 4616 §2: if preparation fails or gives nothing, verification fails
        if authzid is None or not prepared:
            return Failed("an identity or the password cannot be prepared", malformed=True)
        self._authcid = authcid
        self._authzid = authzid
        return Ask(PasswordLogin(authcid, prepared, authzid, self.name))

    def answer(self, accepted: bool) -> ServerStep:
        accepted = checked("accepted", accepted, bool)
        if not accepted:
            return Failed("credentials refused")
        return Succeeded(self._authcid, self._authzid)


class PlainClient(ClientExchange):
    """One message; preparing it is the server's part (RFC 4616 §2)."""

    def __init__(self, name: str, credentials: Password, config: ClientMechanismConfig) -> None:
        super().__init__(name)
        sendable(name, credentials)
        fields = (credentials.authzid, credentials.username, credentials.password)
        self._message = "\0".join(fields).encode()

    def initial(self) -> bytes:
        self.complete = True
        return self._message

    def step(self, challenge: bytes) -> bytes:
        challenge = checked("challenge", challenge, bytes)
        raise BadChallengeError("PLAIN has one message only")
