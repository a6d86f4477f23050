"""SASL mechanisms for both roles (RFC 4422), without I/O and without a word of SMTP.

A server takes `server_mechanism`, a client `choose_mechanism` and `client_mechanism`. Loading
this package loads no hash and no Unicode table: they come with the first use.

.. include:: README.md
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from smtpwire.sasl.saslprep import Preparation, SaslprepError, saslprep

if TYPE_CHECKING:
    from smtpwire.sasl.bindings import UndefinedBindingError, tls_server_end_point
    from smtpwire.sasl.choice import (
        Choice,
        ChoicePolicy,
        NoMechanism,
        TlsFacts,
        choose_mechanism,
        offers_plus,
    )
    from smtpwire.sasl.credentials import (
        Anonymous,
        BearerToken,
        Credentials,
        ExternalIdentity,
        Password,
        check_credentials,
    )
    from smtpwire.sasl.derive import derive_digest_md5, derive_scram, verify
    from smtpwire.sasl.errors import (
        BadChallengeError,
        IterationCountError,
        SaslError,
        ServerNotProvenError,
        UnusableCredentialsError,
    )
    from smtpwire.sasl.mechanism import (
        PENDING,
        Ask,
        Challenge,
        ClientExchange,
        ClientFactory,
        ClientMechanism,
        ClientMechanismConfig,
        Failed,
        Pending,
        ServerExchange,
        ServerFactory,
        ServerMechanism,
        ServerMechanismConfig,
        ServerStep,
        Succeeded,
    )
    from smtpwire.sasl.questions import (
        AnonymousLogin,
        AuthorizationRequest,
        ExternalLogin,
        PasswordLogin,
        Question,
        SecretRequest,
        TokenLogin,
    )
    from smtpwire.sasl.registry import (
        FAMILIES,
        MECHANISMS,
        Family,
        binds,
        check_mechanism,
        client_mechanism,
        family,
        server_mechanism,
    )
    from smtpwire.sasl.stored import (
        DigestMD5Secret,
        PlainPassword,
        ScramSecret,
        StoredSecret,
    )

__all__ = [
    "FAMILIES",
    "MECHANISMS",
    "PENDING",
    "Anonymous",
    "AnonymousLogin",
    "Ask",
    "AuthorizationRequest",
    "BadChallengeError",
    "BearerToken",
    "Challenge",
    "Choice",
    "ChoicePolicy",
    "ClientExchange",
    "ClientFactory",
    "ClientMechanism",
    "ClientMechanismConfig",
    "Credentials",
    "DigestMD5Secret",
    "ExternalIdentity",
    "ExternalLogin",
    "Failed",
    "Family",
    "IterationCountError",
    "NoMechanism",
    "Password",
    "PasswordLogin",
    "Pending",
    "PlainPassword",
    "Preparation",
    "Question",
    "SaslError",
    "SaslprepError",
    "ScramSecret",
    "SecretRequest",
    "ServerExchange",
    "ServerFactory",
    "ServerMechanism",
    "ServerMechanismConfig",
    "ServerNotProvenError",
    "ServerStep",
    "StoredSecret",
    "Succeeded",
    "TlsFacts",
    "TokenLogin",
    "UndefinedBindingError",
    "UnusableCredentialsError",
    "binds",
    "check_credentials",
    "check_mechanism",
    "choose_mechanism",
    "client_mechanism",
    "derive_digest_md5",
    "derive_scram",
    "family",
    "offers_plus",
    "saslprep",
    "server_mechanism",
    "tls_server_end_point",
    "verify",
]

_HOMES: Final = {
    "bindings": "UndefinedBindingError tls_server_end_point",
    "choice": "Choice ChoicePolicy NoMechanism TlsFacts choose_mechanism offers_plus",
    "credentials": "Anonymous BearerToken Credentials ExternalIdentity Password check_credentials",
    "derive": "derive_digest_md5 derive_scram verify",
    "errors": """
        BadChallengeError IterationCountError SaslError ServerNotProvenError
        UnusableCredentialsError
    """,
    "mechanism": """
        PENDING Ask Challenge ClientExchange ClientFactory ClientMechanism ClientMechanismConfig
        Failed Pending ServerExchange ServerFactory ServerMechanism ServerMechanismConfig ServerStep
        Succeeded
    """,
    "questions": """
        AnonymousLogin AuthorizationRequest ExternalLogin PasswordLogin Question SecretRequest
        TokenLogin
    """,
    "registry": """
        FAMILIES MECHANISMS Family binds check_mechanism client_mechanism family server_mechanism
    """,
    "stored": "DigestMD5Secret PlainPassword ScramSecret StoredSecret",
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Loaded where it is first met: a service without AUTH needs next to nothing of all this."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"smtpwire.sasl.{_HOME_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
