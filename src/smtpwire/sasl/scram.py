"""SCRAM (RFC 5802, RFC 7677): a salted challenge and response which proves both sides.

With -PLUS it is bound to the TLS channel as well (§6, RFC 5929, RFC 9266).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Final

from smtpwire.sasl.credentials import Password
from smtpwire.sasl.derive import HASHES, secret_from_password, stored_octets
from smtpwire.sasl.errors import (
    BadChallengeError,
    IterationCountError,
    ServerNotProvenError,
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
from smtpwire.sasl.names import claimed_identity, prepared, received_name
from smtpwire.sasl.questions import SecretRequest
from smtpwire.sasl.saslprep import prepared_password
from smtpwire.sasl.stored import HASH_SIZES, PlainPassword, ScramSecret, StoredSecret
from smtpwire.wire.checked import checked

__all__ = ["ScramClient", "ScramServer", "escaped", "unescaped"]

# --- RFC 5802 §7 formal syntax ------------------------------------------------------------

_NONCE = rb"[!-+\--~]++"  # printable ASCII except the comma
_BASE64 = rb"[A-Za-z0-9+/]++={0,2}"
_SASLNAME = rb"(?:[^\0,=]++|=2C|=3D)+"
# §5.1: m= must fail wherever it stands; other unknown attributes are ignored.
_EXTENSIONS = rb"(?:,[A-Za-ln-z]=[^\0,]++)*"

_CLIENT_FIRST = re.compile(
    rb"((?:(?P<flag>[ny])|p=(?P<type>[A-Za-z0-9.\-]++)),(?:a=(?P<authzid>%b))?,)"
    rb"(?P<bare>n=(?P<username>%b),r=(?P<nonce>%b)%b)" % (_SASLNAME, _SASLNAME, _NONCE, _EXTENSIONS)
)
_CLIENT_FINAL = re.compile(
    rb"(?P<bare>c=(?P<binding>%b),r=(?P<nonce>%b)(?:,[A-Za-ln-oq-z]=[^\0,]++)*),p=(?P<proof>%b)"
    % (_BASE64, _NONCE, _BASE64)
)
_SERVER_FIRST = re.compile(
    rb"r=(?P<nonce>%b),s=(?P<salt>%b),i=(?P<iterations>[1-9][0-9]{0,9})%b"
    % (_NONCE, _BASE64, _EXTENSIONS)
)
_SERVER_FINAL = re.compile(
    rb"(?:v=(?P<signature>%b)|e=(?P<error>[^\0,]++))%b" % (_BASE64, _EXTENSIONS)
)


def escaped(name: bytes) -> bytes:
    """A saslname: ``=`` and ``,`` written as ``=3D`` and ``=2C``."""
    return name.replace(b"=", b"=3D").replace(b",", b"=2C")


def unescaped(name: bytes) -> bytes:
    """The reverse, for what the grammar let through."""
    return name.replace(b"=2C", b",").replace(b"=3D", b"=")


def _base64(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False)


def _from_base64(text: bytes) -> bytes:
    """The octets, b"" where it is not base64: no salt, proof or signature is empty."""
    try:
        octets = a2b_base64(text, strict_mode=True)
    except Base64Error:
        return b""
    return octets if _base64(octets) == text else b""  # the unused bits are zero


# --- RFC 5802 §3 algorithm ----------------------------------------------------------------


def _xor(left: bytes, right: bytes) -> bytes:
    number = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
    return number.to_bytes(len(left), "big")


_UNPROVABLE: Final = {
    name: ScramSecret(name, b"no salt", 1, bytes(size), bytes(size))
    for name, size in HASH_SIZES.items()
}
"""Secrets of nobody: no octets have a hash of zeros that anybody knows."""


class ScramServer(ServerExchange):
    """client-first, server-first, client-final, server-final, and an empty response to that."""

    def __init__(self, name: str, config: ServerMechanismConfig) -> None:
        super().__init__(name, config)
        self._base = name.removesuffix("-PLUS")
        self._state = self._client_first
        self._authcid = ""
        self._authzid = ""
        self._binding = b""  # what c= must be
        self._nonce = b""
        self._message = b""  # of the AuthMessage, what is known so far
        self._password = b""
        self._secret: ScramSecret | None = None
        self._salt = b""
        self._known = False

    def step(self, response: bytes) -> ServerStep:
        response = checked("response", response, bytes)
        return self._state(response)

    def _client_first(self, response: bytes) -> ServerStep:
        match = _CLIENT_FIRST.fullmatch(response)
        if match is None:
            return Failed("malformed client-first-message", malformed=True)
        header = match[1]
        binding = self._channel_binding(match["flag"], match["type"])
        if binding is None:
            return Failed("the channel binding is not acceptable")
        preparation = self._config.preparation
        authcid = received_name(unescaped(match["username"]), preparation)
        if authcid is None:
            return Failed("the user name is not acceptable", malformed=True)
        authzid = claimed_identity(unescaped(match["authzid"] or b""), authcid, preparation)
        if authzid is None:
            return Failed("the authorization identity is not acceptable", malformed=True)
        self._authcid = authcid
        self._authzid = authzid
        self._binding = _base64(header + binding)
        self._nonce = match["nonce"] + self._config.nonce().encode()
        self._message = match["bare"]
        passwords = (PlainPassword,) if self._config.stores_passwords else ()
        return Ask(SecretRequest(self.name, authcid, "", (ScramSecret, *passwords)))

    def _channel_binding(self, flag: bytes | None, binding_type: bytes | None) -> bytes | None:
        """The channel's octets, b"" where the client does not bind; None: must fail (§6)."""
        if self.name.endswith("-PLUS"):
            if binding_type is None:
                return None
            return self._config.bindings.get(binding_type.decode()) or None
        if flag == b"n" or (flag == b"y" and not self._config.plus_offered):
            return b""
        return None  # p= wants the -PLUS name; y after we offered -PLUS is a downgrade

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        config = self._config
        # Users who do not exist have a salt for ever, as those whose password is stored.
        user = f"{self._base}\0{self._authcid}".encode()
        salt = self._salt = hmac.digest(config.scram_secret, user, "sha256")[:16]
        iterations = config.iterations
        match secret:
            case ScramSecret() if secret.mechanism == self._base:
                self._secret = secret
                self._known = True
                salt, iterations = secret.salt, secret.iterations
            case PlainPassword() if config.stores_passwords:
                password = prepared_password(secret.password, config.preparation, stored=True)
                self._password = stored_octets(password or "")
                self._known = bool(password)
            case _:
                self._of_no_use = secret
        server_first = b"r=%b,s=%b,i=%d" % (self._nonce, _base64(salt), iterations)
        self._message += b"," + server_first
        self._state = self._client_final
        return Challenge(server_first)

    def _client_final(self, response: bytes) -> ServerStep:
        match = _CLIENT_FINAL.fullmatch(response)
        if match is None:
            return Failed("malformed client-final-message", malformed=True)
        derived = self._derived()  # for everybody: the time it takes must tell nothing
        secret = self._secret or derived
        hash_name = HASHES[self._base]
        message = self._message + b"," + match["bare"]
        signature = hmac.digest(secret.stored_key, message, hash_name)
        proof = _from_base64(match["proof"])
        if len(proof) != len(signature):
            return Failed("malformed client-final-message", malformed=True)
        client_key = _xor(signature, proof)
        stored_key = hashlib.new(hash_name, client_key).digest()
        proven = hmac.compare_digest(stored_key, secret.stored_key)
        bound = hmac.compare_digest(match["binding"], self._binding)
        fresh = hmac.compare_digest(match["nonce"], self._nonce)
        if not (proven and bound and fresh and self._known):
            return self._refuse()
        verifier = _base64(hmac.digest(secret.server_key, message, hash_name))
        self._state = self._acknowledged
        return Challenge(b"v=" + verifier)

    def _derived(self) -> ScramSecret:
        """The secret of a stored password, or at the same cost one which nobody can prove."""
        config = self._config
        if config.stores_passwords:
            return secret_from_password(self._base, self._password, self._salt, config.iterations)
        return _UNPROVABLE[self._base]

    def _acknowledged(self, response: bytes) -> ServerStep:
        if response:
            return Failed("the answer to the server's proof must be empty", malformed=True)
        return Succeeded(self._authcid, self._authzid)


class ScramClient(ClientExchange):
    """client-first, client-final, and an empty response to the server's proof."""

    mutual = True

    def __init__(self, name: str, credentials: Password, config: ClientMechanismConfig) -> None:
        super().__init__(name)
        self._config = config
        self._hash = HASHES[name.removesuffix("-PLUS")]
        told = prepared(name, credentials, config.preparation)
        self._password = told.password
        self._nonce = config.nonce().encode()
        self._flag, self._channel = self._channel_binding()
        authorization = b"a=" + escaped(told.authzid) if told.authzid else b""
        self._header = self._flag + b"," + authorization + b","
        self._bare = b"n=" + escaped(told.username) + b",r=" + self._nonce
        self._signature = b""  # what the server must prove
        self._state = self._server_first

    def _channel_binding(self) -> tuple[bytes, bytes]:
        """The GS2 flag and the octets to bind to (RFC 5802 §6)."""
        config = self._config
        channel = config.bindings.get(config.binding_type, b"")
        if self.name.endswith("-PLUS"):
            if not channel:
                raise UnusableCredentialsError(f"{self.name} needs a channel binding")
            return b"p=" + config.binding_type.encode("ascii"), channel
        # y says: I could bind, but you do not offer it. A lie where -PLUS was offered.
        return (b"y" if channel and not config.plus_offered else b"n"), b""

    def initial(self) -> bytes:
        return self._header + self._bare

    def step(self, challenge: bytes) -> bytes:
        challenge = checked("challenge", challenge, bytes)
        return self._state(challenge)

    def _server_first(self, challenge: bytes) -> bytes:
        match = _SERVER_FIRST.fullmatch(challenge)
        if match is None:
            raise BadChallengeError("malformed server-first-message")
        nonce, salt = match["nonce"], _from_base64(match["salt"])
        if not salt:
            raise BadChallengeError("malformed server-first-message")
        # §5.1: it must begin with ours, and the server must have added to it
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ServerNotProvenError("the server's nonce does not continue the client's")
        iterations = int(match["iterations"])
        config = self._config
        if not config.minimum_iterations <= iterations <= config.maximum_iterations:
            raise IterationCountError(f"the server asks for {iterations} iterations")
        bare = b"c=" + _base64(self._header + self._channel) + b",r=" + nonce
        message = self._bare + b"," + challenge + b"," + bare
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", self._hash)
        stored_key = hashlib.new(self._hash, client_key).digest()
        proof = _xor(client_key, hmac.digest(stored_key, message, self._hash))
        server_key = hmac.digest(salted, b"Server Key", self._hash)
        self._signature = hmac.digest(server_key, message, self._hash)
        self._state = self._server_final
        return bare + b",p=" + _base64(proof)

    def _server_final(self, challenge: bytes) -> bytes:
        match = _SERVER_FINAL.fullmatch(challenge)
        if match is None:
            raise ServerNotProvenError("malformed server-final-message")
        self._state = self._ended
        if match["error"] is not None:  # the refusal follows; success now would be unproven
            error: bytes = match["error"]
            self.error: str = error.decode("utf-8", "replace")
            return b""
        if not hmac.compare_digest(_from_base64(match["signature"]), self._signature):
            raise ServerNotProvenError("the server's proof is wrong")
        self.server_proven = True
        self.complete = True
        return b""

    def _ended(self, challenge: bytes) -> bytes:
        raise BadChallengeError(f"{self.name} has ended")
