"""NO-SOLICITING: which classes of solicitation are not wanted (RFC 3865)."""

from __future__ import annotations

import re
from typing import Final

from smtpwire.extensions.registry import Extension
from smtpwire.wire.parameter import Parameter

__all__ = ["NO_SOLICITING", "SOLICIT_PARAMETER"]

_CLASS: Final = r"[A-Za-z][A-Za-z0-9._:-]*+"  # RFC 3865 §2.2
_LENGTH: Final = 1000


def _parse(raw: str | None) -> tuple[str, ...]:
    classes = tuple((raw or "").split(","))
    if not all(re.fullmatch(_CLASS, word) for word in classes):
        raise ValueError("not a list of solicitation classes")
    if len(raw or "") >= _LENGTH:
        raise ValueError("not less than 1000 characters")
    return classes


def _format(classes: tuple[str, ...]) -> str:
    return ",".join(classes)


SOLICIT_PARAMETER: Final[Parameter[tuple[str, ...]]] = Parameter("SOLICIT", _parse, _format)
"""MAIL ``SOLICIT``: the classes of the message's Solicitation header (RFC 3865 §2.3)."""


def _parse_refused(parameters: str) -> tuple[str, ...]:
    return _parse(parameters) if parameters else ()


NO_SOLICITING: Final[Extension[tuple[str, ...]]] = Extension(
    "NO-SOLICITING",
    "RFC 3865",
    "classes of solicitation not wanted",
    _parse_refused,
    _format,
    mail=(SOLICIT_PARAMETER,),
    increments=(("MAIL", 9 + 999),),  # the RFC gives no figure: " SOLICIT=" and its value
)
"""Its value: the classes refused for everybody, such as ``net.example:ADV`` (RFC 3865 §2.1)."""
