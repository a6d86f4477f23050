"""DIGEST-MD5 (RFC 2831, historic by RFC 6331): HTTP's digest as a SASL mechanism.

Only ``qop=auth`` and first authentications: no security layer, no reuse of a nonce.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from smtpwire.sasl.credentials import Password
from smtpwire.sasl.derive import every_ha1, ha1, md5
from smtpwire.sasl.errors import (
    BadChallengeError,
    ServerNotProvenError,
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
from smtpwire.sasl.names import claimed_identity, received_name, sendable
from smtpwire.sasl.questions import SecretRequest
from smtpwire.sasl.stored import DigestMD5Secret, PlainPassword, StoredSecret
from smtpwire.wire.checked import checked

__all__ = ["DigestMD5Client", "DigestMD5Server"]

# --- RFC 2831 §7 grammar ------------------------------------------------------------------

_BLANKS = rb"[ \t\r\n]*+"
_SEPARATORS = re.compile(rb"[ \t\r\n,]*+")
_DIRECTIVE = re.compile(
    rb"(?P<name>[!#-'*+\-.0-9A-Z^-z|~]++)%b=%b"
    rb'(?:"(?P<quoted>(?:[^"\\]++|\\.)*)"|(?P<token>[^\x00-\x20",\x7f-\xff]++))%b(?:,|\Z)'
    % (_BLANKS, _BLANKS, _BLANKS),
    re.DOTALL,
)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_TO_QUOTE = re.compile(rb'(["\\])')
_HEX: Final = re.compile(rb"[0-9a-f]{32}")

_FIRST_COUNT: Final = b"00000001"
# Directives which stand at most once; unknown ones are ignored (§2.1.1, §2.1.2).
_SINGLE_IN_CHALLENGE: Final = (b"nonce", b"qop", b"stale", b"maxbuf", b"charset", b"algorithm")
_SINGLE_IN_RESPONSE: Final = (
    *(b"username", b"realm", b"nonce", b"cnonce", b"nc", b"qop", b"digest-uri", b"response"),
    *(b"maxbuf", b"charset", b"cipher", b"authzid"),
)

Directives = dict[bytes, list[bytes]]


def _quoted(value: bytes) -> bytes:
    return b'"' + _TO_QUOTE.sub(rb"\\\1", value) + b'"'


def _parsed(message: bytes, single: tuple[bytes, ...]) -> Directives | None:
    """The directives, names in lower case, values unquoted; None if it is no such list."""
    directives: Directives = {}
    position = 0
    while True:
        separators = _SEPARATORS.match(message, position)
        position = separators.end() if separators else position
        if position == len(message):
            break
        match = _DIRECTIVE.match(message, position)
        if match is None:
            return None
        position = match.end()
        value = match["token"]
        if value is None:
            value = _QUOTED_PAIR.sub(rb"\1", match["quoted"])
        directives.setdefault(match["name"].lower(), []).append(value)
    if any(len(directives.get(name, ())) > 1 for name in single):
        return None
    return directives


# --- RFC 2831 §2.1.2.1 response-value -----------------------------------------------------


def _response_values(
    secret: bytes, nonce: bytes, cnonce: bytes, digest_uri: bytes, authzid: bytes | None
) -> tuple[bytes, bytes]:
    """The client's response and the server's rspauth, in hexadecimal."""
    a1 = b"%b:%b:%b" % (secret, nonce, cnonce)
    if authzid is not None:
        a1 += b":" + authzid
    key = md5(a1).hex().encode()
    tail = b"%b:%b:%b:auth:" % (nonce, _FIRST_COUNT, cnonce)

    def value(a2: bytes) -> bytes:
        return md5(b"%b:%b%b" % (key, tail, md5(a2).hex().encode())).hex().encode()

    return value(b"AUTHENTICATE:" + digest_uri), value(b":" + digest_uri)


class DigestMD5Server(ServerExchange):
    """Challenge, response, rspauth, and an empty response to that."""

    client_first = False

    def __init__(self, name: str, config: ServerMechanismConfig) -> None:
        super().__init__(name, config)
        self._nonce = config.nonce().encode()
        self._realm = config.realm.encode()
        self._directives: Directives = {}
        self._username = ""
        self._authcid = ""
        self._authzid = ""
        self._proven = False

    def start(self, initial: bytes | None) -> ServerStep:
        # §2.2: an initial response is a subsequent authentication, which we do not do
        if initial is not None:
            return Failed("in DIGEST-MD5 the server speaks first", malformed=True)
        realm = b"realm=" + _quoted(self._realm) + b"," if self._realm else b""
        nonce = b"nonce=" + _quoted(self._nonce)
        return Challenge(realm + nonce + b',qop="auth",algorithm=md5-sess,charset=utf-8')

    def step(self, response: bytes) -> ServerStep:
        response = checked("response", response, bytes)
        if self._proven:
            if response:
                return Failed("the answer to rspauth must be empty", malformed=True)
            return Succeeded(self._authcid, self._authzid)
        directives = _parsed(response, _SINGLE_IN_RESPONSE) if len(response) < 4096 else None
        if directives is None or not self._acceptable(directives):
            return Failed("malformed or unacceptable digest-response", malformed=True)
        if not self._means_us(directives):
            return Failed("meant for another realm, service or host")
        preparation = self._config.preparation
        username = directives[b"username"][0]
        # Some clients send UTF-8 but not charset=utf-8, others mean ISO 8859-1 by that.
        if b"charset" not in directives and not _is_utf8(username):
            username = username.decode("latin-1").encode()
        authcid = received_name(username, preparation)
        if authcid is None:
            return Failed("the user name is not acceptable", malformed=True)
        authzid = claimed_identity(directives.get(b"authzid", [b""])[0], authcid, preparation)
        if authzid is None:
            return Failed("the authorization identity is not acceptable", malformed=True)
        self._directives = directives
        self._username = username.decode()
        self._authcid = authcid
        self._authzid = authzid
        accepts = (DigestMD5Secret, PlainPassword)
        return Ask(SecretRequest(self.name, authcid, self._config.realm, accepts))

    def _acceptable(self, directives: Directives) -> bool:
        """Whether everything is there and is ours (§2.1.2, §2.1.3)."""

        def only(name: bytes, default: bytes = b"") -> bytes:
            return directives.get(name, [default])[0]

        return (
            b"username" in directives
            and bool(only(b"cnonce"))
            and hmac.compare_digest(only(b"nonce"), self._nonce)
            and only(b"nc") == _FIRST_COUNT
            and only(b"qop", b"auth") == b"auth"
            and only(b"charset", b"utf-8").lower() == b"utf-8"
            and _HEX.fullmatch(only(b"response")) is not None
        )

    def _means_us(self, directives: Directives) -> bool:
        """The realm, and ``service/host`` or ``service/host/name``, each one of ours.

        In place of the host some clients put the realm named by us, even the empty one.
        """
        realm = directives.get(b"realm", [b""])[0]
        service, *names = directives.get(b"digest-uri", [b""])[0].lower().split(b"/")
        hosts = [host.lower().encode() for host in self._config.hosts]
        return (
            realm == (self._realm or realm)  # none was named: each client has its own default
            and service == self._config.service.lower().encode()
            and 1 <= len(names) <= 2
            and (not hosts or all(name in (*hosts, self._realm.lower()) for name in names))
        )

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        config, directives = self._config, self._directives
        realm = directives.get(b"realm", [b""])[0]
        stored, password = b"", ""
        match secret:
            case DigestMD5Secret() if secret.realm == config.realm:
                stored = secret.ha1
            case PlainPassword():
                password = secret.password
            case _:
                self._of_no_use = secret
        # As many keys for everybody, known or not: the time it takes must tell nothing.
        keys = every_ha1(self._username, realm, password or config.nonce())
        if stored:
            keys = [stored] * len(keys)
        proofs = [proof for key in keys if (proof := self._proof(key))]
        if not (proofs and (stored or password)):
            return self._refuse()
        self._proven = True
        return Challenge(b"rspauth=" + proofs[0])

    def _proof(self, key: bytes) -> bytes:
        """The server's own proof, if the client's is made with this key; else b""."""
        directives = self._directives
        response, rspauth = _response_values(
            key,
            self._nonce,
            directives[b"cnonce"][0],
            directives[b"digest-uri"][0],
            directives.get(b"authzid", [None])[0],
        )
        return rspauth if hmac.compare_digest(response, directives[b"response"][0]) else b""


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


class DigestMD5Client(ClientExchange):
    """Answers the challenge, verifies rspauth."""

    client_first = False
    mutual = True

    def __init__(self, name: str, credentials: Password, config: ClientMechanismConfig) -> None:
        super().__init__(name)
        sendable(name, credentials)
        self._credentials = credentials
        self._config = config
        self._rspauth = b""  # what the server must prove

    def initial(self) -> None:
        return None

    def step(self, challenge: bytes) -> bytes:
        challenge = checked("challenge", challenge, bytes)
        if self.complete:
            raise BadChallengeError("DIGEST-MD5 has ended")
        if self._rspauth:
            return self._verified(challenge)
        # §2.1.1: a challenge is shorter than 2048 octets
        directives = _parsed(challenge, _SINGLE_IN_CHALLENGE) if len(challenge) < 2048 else None
        if directives is None:
            raise BadChallengeError("malformed digest-challenge")
        if not directives.get(b"nonce", [b""])[0] or b"algorithm" not in directives:
            raise BadChallengeError("a digest-challenge needs nonce and algorithm")
        if directives[b"algorithm"][0].lower() != b"md5-sess":
            raise BadChallengeError("the only algorithm is md5-sess")
        offered = directives.get(b"qop", [b"auth"])[0].lower().split(b",")
        if b"auth" not in [qop.strip(b" \t\r\n") for qop in offered]:
            raise BadChallengeError("the server insists on a security layer")
        return self._response(directives)

    def _response(self, directives: Directives) -> bytes:
        credentials, config = self._credentials, self._config
        utf8 = directives.get(b"charset", [b""])[0].lower() == b"utf-8"
        if utf8:
            username = credentials.username.encode()
        else:
            username = self._latin1(credentials.username)
            self._latin1(credentials.password)
        # §2.1.1: of several realms the client chooses; the first one is as good as any
        realm = directives.get(b"realm", [None])[0]
        nonce = directives[b"nonce"][0]
        cnonce = config.nonce().encode()
        digest_uri = f"{config.service}/{config.host}".encode()
        authzid = credentials.authzid.encode() if credentials.authzid else None
        key = ha1(credentials.username, realm or b"", credentials.password)
        response, self._rspauth = _response_values(key, nonce, cnonce, digest_uri, authzid)
        parts = [
            b"charset=utf-8" if utf8 else None,
            b"username=" + _quoted(username),
            b"realm=" + _quoted(realm) if realm is not None else None,
            b"nonce=" + _quoted(nonce),
            b"nc=" + _FIRST_COUNT,
            b"cnonce=" + _quoted(cnonce),
            b"digest-uri=" + _quoted(digest_uri),
            b"response=" + response,
            b"qop=auth",
            b"authzid=" + _quoted(authzid) if authzid is not None else None,
        ]
        return b",".join(part for part in parts if part is not None)

    def _latin1(self, text: str) -> bytes:
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise BadChallengeError("without charset=utf-8 names must be ISO 8859-1") from None

    def _verified(self, challenge: bytes) -> bytes:
        directives = _parsed(challenge, (b"rspauth",)) or {}
        rspauth = directives.get(b"rspauth", [b""])[0]
        if not hmac.compare_digest(rspauth, self._rspauth):
            raise ServerNotProvenError("the server's rspauth is missing or wrong")
        self.server_proven = True
        self.complete = True
        return b""
