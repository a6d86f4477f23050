"""CHECKPOINT: an interrupted transaction can be taken up again (RFC 1845)."""

from __future__ import annotations

import re
from typing import Final

from smtpwire.extensions.registry import Extension, flag, no_parameter
from smtpwire.wire.parameter import Parameter

__all__ = ["CHECKPOINT", "TRANSID_PARAMETER"]

# RFC 1845 §2 (4): atoms of everything but blanks, controls, tspecials and dots.
_ATOMS: Final = r"[!#-'*+\-0-9A-Z^-~]++(?:\.[!#-'*+\-0-9A-Z^-~]++)*"
_TRANSID: Final = rf"<({_ATOMS}@{_ATOMS})>"
_LENGTH: Final = 80


def _parse(raw: str | None) -> str:
    found = re.fullmatch(_TRANSID, raw or "")
    if found is None or len(found[0]) > _LENGTH:
        raise ValueError("not <identifier@domain> of at most 80 characters")
    return found[1]


def _format(identifier: str) -> str:
    return f"<{identifier}>"


TRANSID_PARAMETER: Final[Parameter[str]] = Parameter("TRANSID", _parse, _format)
"""MAIL ``TRANSID``: ``identifier@domain`` of this transaction, case-sensitive (RFC 1845 §2)."""

CHECKPOINT: Final[Extension[bool]] = Extension(
    "CHECKPOINT",
    "RFC 1845",
    "taking up interrupted transactions",
    flag,
    no_parameter,
    mail=(TRANSID_PARAMETER,),
    increments=(("MAIL", 88),),  # §2 (5)
)
"""CHECKPOINT, RFC 1845: taking up interrupted transactions. Its value in an offer is True."""
