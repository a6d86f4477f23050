"""REQUIRETLS: every hop on the way uses verified TLS (RFC 8689)."""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.grammar import valueless
from smtpwire.extensions.registry import Extension, When, flag, no_parameter

__all__ = ["REQUIRETLS", "REQUIRETLS_PARAMETER"]

REQUIRETLS_PARAMETER: Final = valueless("REQUIRETLS")
"""MAIL ``REQUIRETLS`` (RFC 8689 §2)."""

REQUIRETLS: Final[Extension[bool]] = Extension(
    "REQUIRETLS",
    "RFC 8689",
    "no hop without verified TLS",
    flag,
    no_parameter,
    mail=(REQUIRETLS_PARAMETER,),
    increments=(("MAIL", 11),),  # §2 (5)
    when=When.UNDER_TLS,  # §2: only in a session that meets its requirements
)
"""REQUIRETLS, RFC 8689: no hop without verified TLS. Its value in an offer is True."""
