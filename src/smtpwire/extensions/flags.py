"""Extensions that are no more than their keyword: no parameters, nothing on MAIL and RCPT.

Their verbs, where they have one, are the core's own and known without an offer.
"""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.registry import Extension, Profile, When, flag, no_parameter

__all__ = [
    "CHUNKING",
    "ENHANCEDSTATUSCODES",
    "EXPN",
    "HELP",
    "PIPELINING",
    "STARTTLS",
    "VRFY",
]

PIPELINING: Final[Extension[bool]] = Extension(
    "PIPELINING", "RFC 2920", "commands in groups, without waiting", flag, no_parameter
)
"""PIPELINING, RFC 2920: commands in groups, without waiting. Its value in an offer is True."""

ENHANCEDSTATUSCODES: Final[Extension[bool]] = Extension(
    "ENHANCEDSTATUSCODES", "RFC 2034", "replies carry codes like 5.1.1", flag, no_parameter
)
"""ENHANCEDSTATUSCODES, RFC 2034: replies carry codes like 5.1.1. Its value in an offer is True."""

# RFC 3207 §4.2: never offered once TLS is active. Port 465 has it from the first octet.
STARTTLS: Final[Extension[bool]] = Extension(
    "STARTTLS",
    "RFC 3207",
    "TLS on this connection",
    flag,
    no_parameter,
    profiles=frozenset({Profile.RELAY, Profile.SUBMISSION, Profile.LMTP}),
    when=When.BEFORE_TLS,
)
"""STARTTLS, RFC 3207: TLS on this connection. Its value in an offer is True."""

CHUNKING: Final[Extension[bool]] = Extension(
    "CHUNKING", "RFC 3030", "bodies in counted chunks, BDAT", flag, no_parameter
)
"""CHUNKING, RFC 3030: bodies in counted chunks, BDAT. Its value in an offer is True."""

HELP: Final[Extension[bool]] = Extension(
    "HELP", "RFC 5321", "HELP is implemented", flag, no_parameter
)
"""HELP, RFC 5321: HELP is implemented. Its value in an offer is True."""

VRFY: Final[Extension[bool]] = Extension(
    "VRFY", "RFC 5321", "VRFY is implemented", flag, no_parameter
)
"""VRFY, RFC 5321: VRFY is implemented. Its value in an offer is True."""

EXPN: Final[Extension[bool]] = Extension(
    "EXPN", "RFC 5321", "EXPN is implemented", flag, no_parameter
)
"""EXPN, RFC 5321: EXPN is implemented. Its value in an offer is True."""
