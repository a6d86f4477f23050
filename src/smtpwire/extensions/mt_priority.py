"""MT-PRIORITY: the priority a message is transferred with (RFC 6710)."""

from __future__ import annotations

import re
from typing import Final

from smtpwire.extensions.registry import Extension
from smtpwire.wire.parameter import Parameter

__all__ = ["MT_PRIORITY", "MT_PRIORITY_PARAMETER"]


def _parse(raw: str | None) -> int:
    if re.fullmatch(r"-?[1-9]|0", raw or "") is None:  # RFC 6710 §7
        raise ValueError("not a priority from -9 to 9")
    return int(raw or "")


def _format(priority: int) -> str:
    return str(priority)


MT_PRIORITY_PARAMETER: Final[Parameter[int]] = Parameter("MT-PRIORITY", _parse, _format)
"""MAIL ``MT-PRIORITY``: -9 to 9; 0 where it is not given (RFC 6710 §3, §4.1)."""

_POLICY: Final = r"[A-Za-z0-9._-]{1,20}"


def _parse_policy(parameters: str) -> str:
    return parameters if re.fullmatch(_POLICY, parameters) else ""


def _format_policy(policy: str) -> str:
    return policy


MT_PRIORITY: Final[Extension[str]] = Extension(
    "MT-PRIORITY",
    "RFC 6710",
    "priorities; the policy they are assigned by",
    _parse_policy,
    _format_policy,
    mail=(MT_PRIORITY_PARAMETER,),
    increments=(("MAIL", 15),),  # §3 (6)
)
"""Its value: the priority assignment policy, such as MIXER; "": not told (§3 (3))."""
