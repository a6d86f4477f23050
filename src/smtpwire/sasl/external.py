"""EXTERNAL (RFC 4422 Appendix A): the channel, a client certificate, says who it is."""

from __future__ import annotations

from smtpwire.sasl.credentials import ExternalIdentity
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
from smtpwire.sasl.names import claimed_identity, encoded
from smtpwire.sasl.questions import ExternalLogin
from smtpwire.wire.checked import checked

__all__ = ["ExternalClient", "ExternalServer"]


class ExternalServer(ServerExchange):
    """One message: the identity asked for, or nothing for the certificate's own."""

    _authzid = ""

    def step(self, response: bytes) -> ServerStep:
        response = checked("response", response, bytes)
        identity = self._config.external_identity
        authzid = claimed_identity(response, identity, self._config.preparation)
        if authzid is None:
            return Failed("the authorization identity is not acceptable", malformed=True)
        self._authzid = authzid
        return Ask(ExternalLogin(authzid, self.name))

    def answer(self, accepted: bool) -> ServerStep:
        accepted = checked("accepted", accepted, bool)
        if not accepted:
            return Failed("credentials refused")
        identity = self._config.external_identity
        if not identity:  # only the application knows who the channel proves: it has agreed
            return Succeeded(self._authzid)
        return Succeeded(identity, self._authzid)


class ExternalClient(ClientExchange):
    """One message, often an empty one."""

    def __init__(
        self, name: str, credentials: ExternalIdentity, config: ClientMechanismConfig
    ) -> None:
        super().__init__(name)
        if "\0" in credentials.authzid:
            raise UnusableCredentialsError("EXTERNAL: no NUL in an identity")
        self._message = encoded(credentials.authzid)

    def initial(self) -> bytes:
        self.complete = True
        return self._message

    def step(self, challenge: bytes) -> bytes:
        challenge = checked("challenge", challenge, bytes)
        raise BadChallengeError("EXTERNAL has one message only")
