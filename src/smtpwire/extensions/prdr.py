"""PRDR: a reply a recipient after the data (draft-hall-prdr-00)."""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.grammar import valueless
from smtpwire.extensions.registry import Extension, Profile, flag, no_parameter

__all__ = ["PRDR", "PRDR_PARAMETER"]

PRDR_PARAMETER: Final = valueless("PRDR")
"""MAIL ``PRDR``: after the data a reply a recipient, then a final one (§4.2)."""

PRDR: Final[Extension[bool]] = Extension(
    "PRDR",
    "draft-hall-prdr",
    "a reply a recipient after the data",
    flag,
    no_parameter,
    mail=(PRDR_PARAMETER,),
    increments=(("MAIL", 5),),  # " PRDR"
    # LMTP has such replies of its own (RFC 2033 §4.2).
    profiles=frozenset({Profile.RELAY, Profile.SUBMISSION, Profile.SUBMISSIONS}),
)
"""PRDR, draft-hall-prdr: a reply a recipient after the data. Its value in an offer is True."""
