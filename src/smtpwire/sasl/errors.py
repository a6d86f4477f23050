"""Why a client cannot go on with an exchange."""

from __future__ import annotations

from typing import ClassVar

from smtpwire.wire.error import SmtpwireError

__all__ = [
    "BadChallengeError",
    "IterationCountError",
    "SaslError",
    "ServerNotProvenError",
    "UnusableCredentialsError",
]


class SaslError(SmtpwireError):
    """The client cannot go on with this exchange: cancel it.

    ``terminal`` says that the server or the path to it is not to be trusted: no other
    mechanism may then be tried with the same password. No message contains a secret.
    """

    terminal: ClassVar[bool] = False


class UnusableCredentialsError(SaslError):
    """These credentials do not fit this mechanism. Raised before anything was sent."""


class BadChallengeError(SaslError):
    """The server's challenge is malformed, or one more than the mechanism has."""


class ServerNotProvenError(SaslError):
    """The server did not prove that it knows the password: wrong proof, or a foreign nonce."""

    terminal = True


class IterationCountError(SaslError):
    """The server asks for too few iterations (easy to guess from) or too many (a burden)."""

    terminal = True
