"""smtpwire: SMTP, ESMTP and LMTP at the wire level, without I/O.

- Engines, octets in, events and octets out: ``ServerConnection`` with a ``ServerConfig``,
  ``ClientConnection`` with a ``ClientConfig``. ``next_event()`` gives an event or a ``Need``.
- A server's application as a class with a method for each question: ``Service``, in
  ``smtpwire.service``. With sockets: ``start_server()`` of ``smtpwire.adapters.asyncio``,
  ``.blocking`` and ``.trio``.
- A client: ``connect()`` of the same modules; what it does is in ``smtpwire.operations``.
- Commands, which clients send and which servers are asked: ``Hello``, ``Mail``, ``Rcpt``, ``Data``,
  ``Bdat``, ``Auth``, ``StartTls``, ``Vrfy`` …; their values: ``Address``, ``Parameters``,
  ``Envelope``. Answers: ``Reply``.
- Events: the classes in ``ServerEvent`` and ``ClientEvent``; a ``Request`` is one that is owed an
  answer. A call out of turn raises ``LocalProtocolError``, which is a ``SmtpwireError`` as whatever
  else is raised on purpose; wrong types and values are a TypeError or ValueError.
- Bounds and times: ``Limits``, ``Timeouts``. What a reply means: ``classify``, ``describe``.
- Logins: ``Password``, ``BearerToken``, ``ScramSecret`` …, and ``smtpwire.sasl``.
- Extensions: ``smtpwire.extensions``; parameters of MAIL and RCPT: ``smtpwire.parameters``.
- For tests: ``smtpwire.testing``. Dialogues as text: ``smtpwire.transcript``. Parsers, useful
  alone: ``smtpwire.wire``.

``help(smtpwire.Service)`` tells of one name, and ``python -m smtpwire`` of the command line. Each
room has a README beside its code, which tells how its parts fit together.

A name is loaded when it is first used, so that a server does not pay for the client, nor anybody
for SASL who has no use for it. What type checkers see stands in ``__init__.pyi``.

.. include:: README.md
.. include:: engine/README.md
.. include:: command_line/README.md
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

__version__: Final = "0.2.0"
"""MAJOR.MINOR.PATCH; CHANGELOG.md says what each of them promises."""

_HOMES: Final = {
    "engine.client": "ClientConnection",
    "engine.client_config": "ClientConfig",
    "engine.errors": "LocalProtocolError SessionLimitError UnwritableError",
    "engine.events": """
        Aborted Authenticated AuthenticationEnded AuthenticationFailed AuthenticationOutcome
        BodyChunk Cause ClientEvent CloseReason Closed CommandQuestion Connected EndOfData
        EndOfMessage Envelope ExtensionsChanged Greeting Identity InvalidCommand MessageAborted Peer
        ReplyReceived ServerEvent ServiceClosing Unanswered
    """,
    "engine.limits": "Limits",
    "engine.need": "ClientNeed Need ServerNeed",
    "engine.policy": "DEFAULT_POLICIES Policy",
    "engine.replies": "DEFAULT_REPLIES ReplyKind",
    "engine.security": "Security",
    "engine.server": "ServerConnection",
    "engine.server_config": "ServerConfig",
    "engine.state": "State TRANSITIONS",
    "engine.stats": "Stats",
    "engine.timeouts": "Timeout Timeouts",
    "engine.tls": "PeerCertificate TlsInfo",
    "engine.violation": "ProtocolViolation ViolationKind",
    "extensions": """
        Atrn Burl Etrn Extension Offer Offered Profile REGISTRY Registry XClient XForward
    """,
    "service": "Service",
    "sasl": """
        Anonymous AnonymousLogin AuthorizationRequest BearerToken ClientMechanism
        Credentials DigestMD5Secret ExternalIdentity ExternalLogin Password PasswordLogin
        PlainPassword SaslError ScramSecret SecretRequest ServerMechanism TokenLogin
        derive_digest_md5 derive_scram tls_server_end_point
    """,
    "wire.address": "Address",
    "wire.body": "LineEndings",
    "wire.command": """
        Auth Bdat Command Data Expn ExtensionCommand ExtensionRequest Hello Help Leniency Mail
        Noop Quit Rcpt Rset StartTls Verb Vrfy
    """,
    "wire.error": "SmtpwireError",
    "wire.parameter": "Parameter Parameters",
    "wire.proxy": "ProxyHeader ProxyReader ProxyRefused",
    "wire.received": "received_header with_protocol",
    "wire.reply": "Reply",
    "wire.status": "Disposition classify describe",
    "wire.value": "Request replace",
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names.split()}
_MODULES: Final = {
    "adapters": "smtpwire.adapters",
    "extensions": "smtpwire.extensions",
    "operations": "smtpwire.operations",
    "parameters": "smtpwire.extensions.parameters",
    "sasl": "smtpwire.sasl",
    "service": "smtpwire.service",
    "testing": "smtpwire.testing",
    "transcript": "smtpwire.transcript",
    "wire": "smtpwire.wire",
}

if sys.implementation.name != "cpython":
    import re

    # PyPy 7.3 goes on to the right of a possessive quantifier that has failed: it took addresses
    # without a local part.
    if re.match("[a-z]++@[a-z]+", "@ab"):
        raise ImportError(
            "smtpwire needs CPython 3.11 or PyPy 8, or a newer one of them: the re module here"
            " matches possessive quantifiers wrongly"
        )

__all__ = sorted((*_HOME_OF, *_MODULES, "__version__"))


def __getattr__(name: str) -> object:
    if name in _MODULES:
        found: object = import_module(_MODULES[name])
    elif name in _HOME_OF:
        found = getattr(import_module(f"smtpwire.{_HOME_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
