"""The extensions of SMTP as data: one entry each, from which everything else follows.

``offer[extensions.SIZE]`` is what was offered; ``mail.parameters[parameters.SIZE]`` is what the
command said. ``REGISTRY`` has them all; ``REGISTRY + (MINE,)`` adds a private one.
"""

from typing import Final

from smtpwire.extensions.auth import AUTH
from smtpwire.extensions.body import BINARYMIME, EIGHTBITMIME
from smtpwire.extensions.flags import (
    CHUNKING,
    ENHANCEDSTATUSCODES,
    EXPN,
    HELP,
    PIPELINING,
    STARTTLS,
    VRFY,
)
from smtpwire.extensions.registry import (
    AnyExtension,
    Check,
    Extension,
    Offer,
    Offered,
    Profile,
    Registry,
    When,
    flag,
    no_parameter,
)
from smtpwire.extensions.size import SIZE
from smtpwire.extensions.smtputf8 import SMTPUTF8

__all__ = [
    "AUTH",
    "BINARYMIME",
    "CHUNKING",
    "EIGHTBITMIME",
    "ENHANCEDSTATUSCODES",
    "EXPN",
    "HELP",
    "PIPELINING",
    "REGISTRY",
    "SIZE",
    "SMTPUTF8",
    "STARTTLS",
    "VRFY",
    "AnyExtension",
    "Check",
    "Extension",
    "Offer",
    "Offered",
    "Profile",
    "Registry",
    "When",
    "flag",
    "no_parameter",
]

REGISTRY: Final = Registry(
    (
        PIPELINING,
        SIZE,
        EIGHTBITMIME,
        SMTPUTF8,
        ENHANCEDSTATUSCODES,
        STARTTLS,
        AUTH,
        CHUNKING,
        BINARYMIME,
        HELP,
        VRFY,
        EXPN,
    )
)
"""Every extension the house knows; what a side offers or reads is chosen from it."""
