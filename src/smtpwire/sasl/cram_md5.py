"""CRAM-MD5 (RFC 2195): a keyed MD5 over the server's challenge. It proves no server."""

from __future__ import annotations

import hmac
import re

from smtpwire.sasl.credentials import Password
from smtpwire.sasl.derive import stored_octets
from smtpwire.sasl.errors import (
    BadChallengeError,
)
from smtpwire.sasl.mechanism import (
    Ask,
    Challenge,
    ClientExchange,
    ClientMechanismConfig,
    Failed,
    ServerExchange,
    ServerMechanismConfig,
    ServerStep,
    Succeeded,
)
from smtpwire.sasl.names import prepared, received_name
from smtpwire.sasl.questions import SecretRequest
from smtpwire.sasl.saslprep import prepared_password
from smtpwire.sasl.stored import PlainPassword, StoredSecret
from smtpwire.wire.checked import checked

__all__ = ["CramMD5Client", "CramMD5Server"]

# The name may have blanks: the last one parts it from the digest.
_RESPONSE = re.compile(rb"(.+) ([0-9a-f]{32})", re.DOTALL)


def _digest(password: bytes, challenge: bytes) -> bytes:
    return hmac.new(password, challenge, "md5").hexdigest().encode()


class CramMD5Server(ServerExchange):
    """Challenge, then ``user SP digest``."""

    client_first = False

    def __init__(self, name: str, config: ServerMechanismConfig) -> None:
        super().__init__(name, config)
        host = config.hosts[0] if config.hosts else "localhost"
        self._challenge = f"<{config.nonce()}@{host}>".encode()
        self._authcid = ""
        self._digest = b""

    def start(self, initial: bytes | None) -> ServerStep:
        if initial is not None:
            return Failed("in CRAM-MD5 the server speaks first", malformed=True)
        return Challenge(self._challenge)

    def step(self, response: bytes) -> ServerStep:
        response = checked("response", response, bytes)
        match = _RESPONSE.fullmatch(response)
        authcid = received_name(match[1], self._config.preparation) if match else None
        if match is None or authcid is None:
            return Failed("CRAM-MD5 wants a user name, a blank and a digest", malformed=True)
        self._authcid = authcid
        self._digest = match[2]
        return Ask(SecretRequest(self.name, authcid, "", (PlainPassword,)))

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        password = None
        if isinstance(secret, PlainPassword):
            password = prepared_password(secret.password, self._config.preparation, stored=True)
        else:
            self._of_no_use = secret
        digest = _digest(stored_octets(password or self._config.nonce()), self._challenge)
        if not (hmac.compare_digest(digest, self._digest) and password):
            return self._refuse()
        return Succeeded(self._authcid)


class CramMD5Client(ClientExchange):
    """Answers one challenge."""

    client_first = False

    def __init__(self, name: str, credentials: Password, config: ClientMechanismConfig) -> None:
        super().__init__(name)
        self._credentials = prepared(name, credentials, config.preparation, authzid=False)

    def initial(self) -> None:
        return None

    def step(self, challenge: bytes) -> bytes:
        challenge = checked("challenge", challenge, bytes)
        if self.complete or not challenge:
            raise BadChallengeError("CRAM-MD5 has one challenge, not an empty one")
        self.complete = True
        return self._credentials.username + b" " + _digest(self._credentials.password, challenge)
