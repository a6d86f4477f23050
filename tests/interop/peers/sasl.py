"""GNU SASL (libgsasl) and Cyrus SASL (libsasl2) in this process, client and server, by ctypes.

A peer has ``step(data)``, which gives what it says, or None, and whether it is done; a client is
given None first. SaslPeerError: it refuses.
"""

import ctypes
import functools
import tempfile
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_ulong, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tests.interop.peers.mailbox import make_cyrus_accounts
from tests.interop.peers.requirements import REQUIREMENTS, require
from tests.interop.peers.server import PASSWORD

Role = Literal["client", "server"]
Step = tuple[bytes | None, bool]


class SaslPeerError(Exception):
    """The peer refused, or did not understand."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What both sides are configured with."""

    user: str = "user"
    password: str = PASSWORD
    authzid: str = ""
    realm: str = "localhost"
    host: str = "localhost"
    binding: tuple[str, bytes] | None = None
    """A channel binding's type and octets; GNU SASL has tls-unique and tls-exporter."""


# -- GNU SASL (gsasl.h)

_GSASL_OK: Final = 0
_GSASL_NEEDS_MORE: Final = 1
_GSASL_NO_CALLBACK: Final = 51
_GSASL_AUTHENTICATION_ERROR: Final = 31
_PROPERTIES: Final = {
    "AUTHID": 1,
    "AUTHZID": 2,
    "PASSWORD": 3,
    "ANONYMOUS_TOKEN": 4,
    "SERVICE": 5,
    "HOSTNAME": 6,
    "REALM": 11,
    "QOPS": 13,
    "QOP": 14,
    "SCRAM_ITER": 15,
    "SCRAM_SALT": 16,
    "CB_TLS_UNIQUE": 18,
    "CB_TLS_EXPORTER": 25,
    "VALIDATE_SIMPLE": 500,
    "VALIDATE_EXTERNAL": 501,
    "VALIDATE_ANONYMOUS": 502,
}
_PROPERTY_NAMES: Final = {number: name for name, number in _PROPERTIES.items()}
_BINDINGS: Final = {"tls-unique": "CB_TLS_UNIQUE", "tls-exporter": "CB_TLS_EXPORTER"}
_GsaslCallback: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)


def _library(name: str) -> Any:
    require(name)
    return ctypes.CDLL(str(REQUIREMENTS[name].files[0]))


@functools.cache
def _gsasl() -> tuple[Any, c_void_p, object]:
    library = _library("libgsasl")
    for name, arguments, result in (
        ("gsasl_init", [c_void_p], c_int),
        ("gsasl_callback_set", [c_void_p, _GsaslCallback], None),
        ("gsasl_client_start", [c_void_p, c_char_p, c_void_p], c_int),
        ("gsasl_server_start", [c_void_p, c_char_p, c_void_p], c_int),
        ("gsasl_step", [c_void_p, c_char_p, c_size_t, c_void_p, c_void_p], c_int),
        ("gsasl_property_set", [c_void_p, c_int, c_char_p], c_int),
        ("gsasl_property_fast", [c_void_p, c_int], c_char_p),
        ("gsasl_strerror", [c_int], c_char_p),
        ("gsasl_finish", [c_void_p], None),
        ("gsasl_free", [c_void_p], None),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    context = c_void_p()
    library.gsasl_init(byref(context))

    def ask(context: int, session: int, number: int) -> int:
        return _sessions[session].give(session, number)

    callback = _GsaslCallback(ask)  # referred to as long as the library may call it
    library.gsasl_callback_set(context, callback)
    return library, context, callback


_sessions: "dict[int | None, Gsasl]" = {}


class Gsasl:
    """One exchange of GNU SASL."""

    def __init__(self, role: Role, mechanism: str, account: Account) -> None:
        self._library, context, _ = _gsasl()
        self.role = role
        self._account = account
        self._properties = {
            "AUTHID": account.user,
            "AUTHZID": account.authzid or None,
            "PASSWORD": account.password,
            "ANONYMOUS_TOKEN": account.user,
            "SERVICE": "smtp",
            "HOSTNAME": account.host,
            "REALM": account.realm or None,
            "QOPS": "qop-auth",
            "QOP": "qop-auth",
        }
        if role == "server":
            self._properties |= {"SCRAM_ITER": "4096", "SCRAM_SALT": "c2FsdHNhbHQ="}
        if account.binding is not None:
            import base64

            kind, octets = account.binding
            self._properties[_BINDINGS[kind]] = base64.b64encode(octets).decode()
        self._session = c_void_p()
        start = getattr(self._library, f"gsasl_{role}_start")
        self._check(start(context, mechanism.encode(), byref(self._session)))
        _sessions[self._session.value] = self

    def give(self, session: int, number: int) -> int:
        """The library's callback: it wants a property, or a login judged."""
        name = _PROPERTY_NAMES.get(number, "")
        if name == "VALIDATE_SIMPLE":
            said = self._library.gsasl_property_fast(session, _PROPERTIES["PASSWORD"]) or b""
            user = self._library.gsasl_property_fast(session, _PROPERTIES["AUTHID"]) or b""
            known = (user.decode(), said.decode()) == (self._account.user, self._account.password)
            return _GSASL_OK if known else _GSASL_AUTHENTICATION_ERROR
        if name in ("VALIDATE_EXTERNAL", "VALIDATE_ANONYMOUS"):
            return _GSASL_OK
        given = self._properties.get(name)
        if given is None:
            return _GSASL_NO_CALLBACK
        self._library.gsasl_property_set(session, number, given.encode())
        return _GSASL_OK

    def step(self, data: bytes | None) -> Step:
        """Take what the other side said, give what to say."""
        output, length = c_void_p(), c_size_t()
        code = self._library.gsasl_step(
            self._session, data, len(data or b""), byref(output), byref(length)
        )
        said = ctypes.string_at(output, length.value) if output.value else None
        if output.value:
            self._library.gsasl_free(output)
        self._check(code)
        if said == b"" and self.role == "client" and data is None:
            said = None
        return said, code == _GSASL_OK

    def close(self) -> None:
        """Give it back to the library."""
        del _sessions[self._session.value]
        self._library.gsasl_finish(self._session)

    def _check(self, code: int) -> None:
        if code not in (_GSASL_OK, _GSASL_NEEDS_MORE):
            text = self._library.gsasl_strerror(code).decode()
            raise SaslPeerError(f"GNU SASL {self.role}: {text}")


# -- Cyrus SASL (sasl.h, saslprop.h)

_SASL_OK: Final = 0
_SASL_FAIL: Final = -1
_CB_GETOPT: Final = 1
_CB_USER: Final = 0x4001
_CB_AUTHNAME: Final = 0x4002
_CB_PASS: Final = 0x4004
_CB_GETREALM: Final = 0x4008
_SEC_PROPS: Final = 101
_AUTH_EXTERNAL: Final = 102
_CHANNEL_BINDING: Final = 21


class _CallbackEntry(ctypes.Structure):
    _fields_ = (("id", c_ulong), ("procedure", c_void_p), ("context", c_void_p))


class _SecurityProperties(ctypes.Structure):
    _fields_ = (
        *(("minimum", c_uint), ("maximum", c_uint), ("buffer", c_uint), ("flags", c_uint)),
        *(("names", c_void_p), ("values", c_void_p)),
    )


class _ChannelBinding(ctypes.Structure):
    _fields_ = (
        *(("name", c_char_p), ("critical", c_int), ("length", c_ulong), ("data", c_char_p)),
    )


_GetOption: Final = ctypes.CFUNCTYPE(
    c_int, c_void_p, c_char_p, c_char_p, POINTER(c_char_p), POINTER(c_uint)
)
_GetName: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, POINTER(c_char_p), POINTER(c_uint))
_GetSecret: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, POINTER(c_void_p))
_GetRealm: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, c_void_p, POINTER(c_char_p))

CYRUS_MECHANISMS: Final = (
    *("PLAIN", "LOGIN", "ANONYMOUS", "EXTERNAL", "CRAM-MD5", "DIGEST-MD5"),
    *("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"),
)


def _table(*callbacks: tuple[int, object]) -> object:
    table = (_CallbackEntry * (len(callbacks) + 1))()
    for entry, (number, function) in zip(table, callbacks, strict=False):
        entry.id = number
        entry.procedure = ctypes.cast(function, c_void_p).value  # type: ignore[arg-type]  # a function pointer
    return table


@functools.cache
def _cyrus() -> tuple[Any, object]:
    """The library, set up once for both roles; ``user`` and ``usér`` have PASSWORD."""
    library = _library("libsasl2")
    require("postfix")  # for saslpasswd2
    directory = tempfile.TemporaryDirectory(prefix="peer-cyrus-")
    database = Path(directory.name, "sasldb2")
    make_cyrus_accounts(database, "user", "usér")
    options = {
        b"auxprop_plugin": b"sasldb",
        b"sasldb_path": str(database).encode(),
        b"pwcheck_method": b"auxprop",
        b"mech_list": " ".join(CYRUS_MECHANISMS).encode(),
    }

    def get_option(context: int, plugin: bytes, option: bytes, result: Any, length: Any) -> int:
        if option not in options:
            return _SASL_FAIL
        result[0] = options[option]
        if length:
            length[0] = len(options[option])
        return _SASL_OK

    function = _GetOption(get_option)
    table = _table((_CB_GETOPT, function))
    if library.sasl_server_init(table, b"interop") or library.sasl_client_init(None):
        raise SaslPeerError("Cyrus SASL does not start")
    library.sasl_errdetail.restype = c_char_p
    library.sasl_errdetail.argtypes = [c_void_p]
    return library, (directory, options, function, table)


class Cyrus:
    """One exchange of Cyrus SASL; a server's accounts are those of its database."""

    def __init__(self, role: Role, mechanism: str, account: Account) -> None:
        self._library, _ = _cyrus()
        self.role = role
        self._mechanism = mechanism.encode()
        self._started = False
        self._connection = c_void_p()
        if role == "client":
            self._new_client(account)
        else:
            self._check(
                self._library.sasl_server_new(
                    *(b"smtp", account.host.encode(), account.realm.encode()),
                    *(None, None, None, 0, byref(self._connection)),
                )
            )
        # No security layer: DIGEST-MD5 with qop=auth alone, as SMTP servers configure it.
        self._set(_SEC_PROPS, _SecurityProperties())
        if mechanism == "EXTERNAL":
            self._check(
                self._library.sasl_setprop(self._connection, _AUTH_EXTERNAL, account.user.encode())
            )
        if account.binding is not None:
            kind, octets = account.binding
            critical = int(role == "client" and mechanism.endswith("-PLUS"))
            self._set(
                _CHANNEL_BINDING, _ChannelBinding(kind.encode(), critical, len(octets), octets)
            )

    def _set(self, number: int, structure: ctypes.Structure) -> None:
        setattr(self, f"_property_{number}", structure)  # the library keeps a pointer to it
        self._check(self._library.sasl_setprop(self._connection, number, byref(structure)))

    def _new_client(self, account: Account) -> None:
        names = {_CB_USER: account.authzid.encode(), _CB_AUTHNAME: account.user.encode()}
        realm, password = account.realm.encode(), account.password.encode()
        head = ctypes.sizeof(c_ulong)
        secret = ctypes.create_string_buffer(len(password).to_bytes(head, "little") + password)

        def get_name(context: int, number: int, result: Any, length: Any) -> int:
            result[0] = names[number]
            if length:
                length[0] = len(names[number])
            return _SASL_OK

        def get_secret(connection: int, context: int, number: int, result: Any) -> int:
            result[0] = ctypes.addressof(secret)
            return _SASL_OK

        def get_realm(context: int, number: int, available: int, result: Any) -> int:
            result[0] = realm
            return _SASL_OK

        name, password_of, realm_of = (
            _GetName(get_name),
            _GetSecret(get_secret),
            _GetRealm(get_realm),
        )
        table = _table(
            (_CB_USER, name),
            (_CB_AUTHNAME, name),
            (_CB_PASS, password_of),
            (_CB_GETREALM, realm_of),
        )
        self._kept = (table, name, password_of, realm_of)
        self._check(
            self._library.sasl_client_new(
                b"smtp", account.host.encode(), None, None, table, 0, byref(self._connection)
            )
        )

    def step(self, data: bytes | None) -> Step:
        """Take what the other side said, give what to say."""
        output, length = c_void_p(), c_uint()
        result = byref(output), byref(length)
        act: Callable[..., int] = getattr(self._library, f"sasl_{self.role}_step")
        if self._started:
            extra = (None,) if self.role == "client" else ()
            code = act(self._connection, data, len(data or b""), *extra, *result)
        elif self.role == "server":
            code = self._library.sasl_server_start(
                self._connection, self._mechanism, data, len(data or b""), *result
            )
        else:
            chosen = c_char_p()
            code = self._library.sasl_client_start(
                self._connection, self._mechanism, None, *result, byref(chosen)
            )
            if code >= _SASL_OK and data:  # the server has spoken first
                code = act(self._connection, data, len(data), None, *result)
        self._started = True
        self._check(code)
        said = ctypes.string_at(output, length.value) if output.value else None
        return said, code == _SASL_OK

    def close(self) -> None:
        """Give it back to the library."""
        self._library.sasl_dispose(byref(self._connection))

    def _check(self, code: int) -> None:
        if code < _SASL_OK:
            detail = self._library.sasl_errdetail(self._connection) if self._connection else b""
            raise SaslPeerError(f"Cyrus SASL {self.role}: {code} {(detail or b'').decode()}")


PEERS: Final[dict[str, type[Gsasl] | type[Cyrus]]] = {"libgsasl": Gsasl, "libsasl2": Cyrus}
