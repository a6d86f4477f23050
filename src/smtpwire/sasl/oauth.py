"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's): an OAuth 2.0 access token."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from smtpwire.sasl.credentials import BearerToken
from smtpwire.sasl.errors import (
    BadChallengeError,
    UnusableCredentialsError,
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
from smtpwire.sasl.names import encoded, received_name
from smtpwire.sasl.questions import TokenLogin
from smtpwire.wire.checked import checked

__all__ = ["OAuthBearerClient", "OAuthBearerServer", "XOAuth2Client", "XOAuth2Server"]

# RFC 7628 §3.1: gs2-header kvsep *kvpair kvsep. p= needs a channel binding: there is none.
_SASLNAME = rb"(?:[^\0-\x1f,=\x7f]++|=2C|=3D)+"
_BEARER_RESPONSE = re.compile(
    rb"[ny],(?:a=(?P<user>%b))?,\x01(?P<pairs>(?:[A-Za-z]++=[\t\n\r -~]*+\x01)*)\x01" % _SASLNAME
)
_XOAUTH2_RESPONSE = re.compile(
    rb"user=(?P<user>[^\0-\x1f\x7f]++)\x01(?P<pairs>(?:[A-Za-z]++=[\t\n\r -~]*+\x01)*)\x01"
)
# RFC 6750 §2.1; the scheme's case does not matter (RFC 7628 §4)
_BEARER = re.compile(rb"bearer +([!-~]++)", re.IGNORECASE)
_PORT = re.compile(rb"[1-9][0-9]{0,4}")
_TOKEN = re.compile(r"[!-~]+")


class _TokenServer(ServerExchange):
    """One message with a token; a refusal is a JSON challenge, its answer, then the failure."""

    _response: re.Pattern[bytes]
    _error: ClassVar[Mapping[str, str]]
    _escaped: bool

    def __init__(self, name: str, config: ServerMechanismConfig) -> None:
        super().__init__(name, config)
        self._authcid = ""
        self._refused = False

    def step(self, response: bytes) -> ServerStep:
        response = checked("response", response, bytes)
        if self._refused:
            return Failed("credentials refused")
        match = self._response.fullmatch(response)
        if match is None:
            return Failed(f"malformed {self.name} message", malformed=True)
        user = match["user"]
        if user is not None:
            name = user.replace(b"=2C", b",").replace(b"=3D", b"=") if self._escaped else user
            authcid = received_name(name, self._config.preparation)
            if authcid is None:
                return Failed("the user name is not acceptable", malformed=True)
            self._authcid = authcid
        pairs = [pair.partition(b"=") for pair in match["pairs"].split(b"\x01")[:-1]]
        values = {key.lower(): value for key, _, value in pairs}
        if len(values) != len(pairs):
            return Failed("a key stands twice", malformed=True)
        bearer = _BEARER.fullmatch(values.get(b"auth", b""))
        if bearer is None:  # RFC 7628 §4.3: so a client asks which scope is needed
            return self._refusal()
        port = values.get(b"port", b"")
        return Ask(
            TokenLogin(
                self._authcid,
                bearer[1].decode("ascii"),
                self.name,
                values.get(b"host", b"").decode("ascii"),
                int(port) if _PORT.fullmatch(port) else 0,
            )
        )

    def answer(self, accepted: bool) -> ServerStep:
        accepted = checked("accepted", accepted, bool)
        return Succeeded(self._authcid) if accepted else self._refusal()

    def _refusal(self) -> ServerStep:
        self._refused = True
        error = {**self._error, **self._config.oauth_error}
        return Challenge(json.dumps(error, separators=(",", ":")).encode())


class OAuthBearerServer(_TokenServer):
    """RFC 7628 §3."""

    _response = _BEARER_RESPONSE
    _error: ClassVar = {"status": "invalid_token"}
    _escaped = True


class XOAuth2Server(_TokenServer):
    """The same without header, host and port."""

    _response = _XOAUTH2_RESPONSE
    _error: ClassVar = {"status": "401", "schemes": "bearer"}
    _escaped = False


class _TokenClient(ClientExchange, ABC):
    """One message; a challenge after it is the server's error, which is acknowledged once."""

    _acknowledgement: bytes

    def __init__(self, name: str, credentials: BearerToken, config: ClientMechanismConfig) -> None:
        super().__init__(name)
        if not _TOKEN.fullmatch(credentials.token):
            raise UnusableCredentialsError(f"{name}: a token is printable ASCII without blanks")
        if any(char < " " or char == "\x7f" for char in credentials.username):
            raise UnusableCredentialsError(f"{name}: no controls in a user name")
        self._refused = False
        self._token = credentials.token
        self._message = self._first(encoded(credentials.username), credentials.token, config)

    @abstractmethod
    def _first(self, username: bytes, token: str, config: ClientMechanismConfig) -> bytes:
        """The one message."""

    def initial(self) -> bytes:
        self.complete = True
        return self._message

    def step(self, challenge: bytes) -> bytes:
        challenge = checked("challenge", challenge, bytes)
        if self._refused:
            raise BadChallengeError(f"{self.name} has ended")
        self._refused = True
        said = challenge.decode("utf-8", "replace")
        # Some servers echo the token. One of a few letters would be found in any text.
        self.error: str = said.replace(self._token, "<redacted>") if len(self._token) > 7 else said
        return self._acknowledgement


class OAuthBearerClient(_TokenClient):
    """RFC 7628 §3.1; its error is acknowledged with %x01 (§3.2.3)."""

    _acknowledgement = b"\x01"

    def _first(self, username: bytes, token: str, config: ClientMechanismConfig) -> bytes:
        name = username.replace(b"=", b"=3D").replace(b",", b"=2C")
        header = b"n,a=" + name + b"," if name else b"n,,"
        host = b"host=" + encoded(config.host) + b"\x01" if config.host else b""
        port = b"port=%d\x01" % config.port if config.port else b""
        return header + b"\x01" + host + port + b"auth=Bearer " + token.encode() + b"\x01\x01"


class XOAuth2Client(_TokenClient):
    """Its error is acknowledged with an empty line."""

    _acknowledgement = b""

    def _first(self, username: bytes, token: str, config: ClientMechanismConfig) -> bytes:
        if not username:
            raise UnusableCredentialsError("XOAUTH2 needs a user name")
        return b"user=" + username + b"\x01auth=Bearer " + token.encode() + b"\x01\x01"
