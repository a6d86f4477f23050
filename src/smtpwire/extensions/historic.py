"""VERB and ONEX: registered by Sendmail's author, never described in an RFC."""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.registry import Extension, flag, no_parameter
from smtpwire.wire.command import Verb

__all__ = ["ONEX", "ONEX_VERB", "VERB", "VERB_VERB"]


def _parse(argument: str) -> None:
    if argument:
        raise ValueError("takes no argument")


def _format(argument: None) -> str:
    return ""


VERB_VERB: Final[Verb[None]] = Verb("VERB", _parse, _format)

VERB: Final[Extension[bool]] = Extension(
    "VERB", "IANA", "talkative replies", flag, no_parameter, verbs=(VERB_VERB,)
)
"""VERB, IANA: talkative replies. Its value in an offer is True."""

ONEX_VERB: Final[Verb[None]] = Verb("ONEX", _parse, _format)

ONEX: Final[Extension[bool]] = Extension(
    "ONEX", "IANA", "only one transaction will come", flag, no_parameter, verbs=(ONEX_VERB,)
)
"""ONEX, IANA: only one transaction will come. Its value in an offer is True."""
