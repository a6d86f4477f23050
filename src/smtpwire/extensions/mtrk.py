"""MTRK: a message that can be tracked later (RFC 3885)."""

from __future__ import annotations

import re
from typing import Final, final

from smtpwire.extensions.dsn import ENVID_PARAMETER
from smtpwire.extensions.registry import Extension, Offer, flag, no_parameter
from smtpwire.wire.command import CommandError
from smtpwire.wire.parameter import Parameter, Parameters
from smtpwire.wire.value import value

__all__ = ["MTRK", "MTRK_PARAMETER", "Mtrk"]


@final
@value(checked=True)
class Mtrk:
    """``certifier``: in base64, what proves a later question's right; ``timeout``: seconds.

    RFC 3885 §3.1; a timeout of None is the server's choice.
    """

    certifier: str
    timeout: int | None = None


_MTRK: Final = r"([A-Za-z0-9+/]++)(?::([0-9]{1,9}))?"  # RFC 3885 §1: base64 has no "=" here


def _parse(raw: str | None) -> Mtrk:
    found = re.fullmatch(_MTRK, raw or "")
    if found is None:
        raise ValueError("not a certifier and a timeout")
    return Mtrk(found[1], None if found[2] is None else int(found[2]))


def _format(mtrk: Mtrk) -> str:
    return mtrk.certifier if mtrk.timeout is None else f"{mtrk.certifier}:{mtrk.timeout}"


MTRK_PARAMETER: Final[Parameter[Mtrk]] = Parameter("MTRK", _parse, _format)
"""MAIL ``MTRK``; needs ENVID beside it (RFC 3885 §3.1, §3.2)."""


def _check(offer: Offer, parameters: Parameters) -> CommandError | None:
    if MTRK_PARAMETER not in parameters:
        return None
    local, _, host = parameters.get(ENVID_PARAMETER, "").rpartition("@")
    if local and host:
        return None
    return CommandError(501, "5.5.4", "MTRK needs ENVID=identifier@host", "MAIL")


MTRK: Final[Extension[bool]] = Extension(
    "MTRK",
    "RFC 3885",
    "messages that can be tracked",
    flag,
    no_parameter,
    mail=(MTRK_PARAMETER,),
    increments=(("MAIL", 40),),  # §2 (5)
    requires=("DSN",),  # §2 (4): ENVID and ORCPT
    check=_check,
)
"""MTRK, RFC 3885: messages that can be tracked. Its value in an offer is True."""
