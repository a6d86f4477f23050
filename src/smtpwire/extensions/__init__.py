"""The extensions of SMTP as data: one entry each, from which everything else follows.

``offer[extensions.SIZE]`` is what was offered; ``mail.parameters[parameters.SIZE]`` is what the
command said. ``REGISTRY`` has them all; ``REGISTRY + (MINE,)`` adds a private one.

.. include:: README.md
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from smtpwire.extensions.auth import AUTH
from smtpwire.extensions.body import BINARYMIME, EIGHTBITMIME
from smtpwire.extensions.catalogue import REGISTRY, table
from smtpwire.extensions.flags import (
    CHUNKING,
    ENHANCEDSTATUSCODES,
    EXPN,
    HELP,
    PIPELINING,
    STARTTLS,
    VRFY,
)
from smtpwire.extensions.limits import LIMITS, ServerLimits
from smtpwire.extensions.prdr import PRDR
from smtpwire.extensions.registry import (
    AnyExtension,
    Check,
    Extension,
    Offer,
    Offered,
    Profile,
    Registry,
    Row,
    When,
    flag,
    no_parameter,
)
from smtpwire.extensions.size import SIZE
from smtpwire.extensions.smtputf8 import SMTPUTF8

if TYPE_CHECKING:
    from smtpwire.extensions import parameters
    from smtpwire.extensions.atrn import ATRN, Atrn
    from smtpwire.extensions.burl import BURL, Burl
    from smtpwire.extensions.checkpoint import CHECKPOINT
    from smtpwire.extensions.client_attributes import Unavailable
    from smtpwire.extensions.conversion import CONNEG, CONPERM
    from smtpwire.extensions.deliver_by import DELIVERBY
    from smtpwire.extensions.dsn import DSN
    from smtpwire.extensions.etrn import ETRN, Etrn
    from smtpwire.extensions.future_release import FUTURERELEASE, FutureRelease
    from smtpwire.extensions.historic import ONEX, VERB
    from smtpwire.extensions.mt_priority import MT_PRIORITY
    from smtpwire.extensions.mtrk import MTRK
    from smtpwire.extensions.no_soliciting import NO_SOLICITING
    from smtpwire.extensions.pipe_connect import PIPECONNECT, X_PIPE_CONNECT
    from smtpwire.extensions.require_tls import REQUIRETLS
    from smtpwire.extensions.rrvs import RRVS
    from smtpwire.extensions.submitter import SUBMITTER
    from smtpwire.extensions.xclient import XCLIENT, XClient
    from smtpwire.extensions.xforward import XFORWARD, Source, XForward

__all__ = [
    "ATRN",
    "AUTH",
    "BINARYMIME",
    "BURL",
    "CHECKPOINT",
    "CHUNKING",
    "CONNEG",
    "CONPERM",
    "DELIVERBY",
    "DSN",
    "EIGHTBITMIME",
    "ENHANCEDSTATUSCODES",
    "ETRN",
    "EXPN",
    "FUTURERELEASE",
    "HELP",
    "LIMITS",
    "MTRK",
    "MT_PRIORITY",
    "NO_SOLICITING",
    "ONEX",
    "PIPECONNECT",
    "PIPELINING",
    "PRDR",
    "REGISTRY",
    "REQUIRETLS",
    "RRVS",
    "SIZE",
    "SMTPUTF8",
    "STARTTLS",
    "SUBMITTER",
    "VERB",
    "VRFY",
    "XCLIENT",
    "XFORWARD",
    "X_PIPE_CONNECT",
    "AnyExtension",
    "Atrn",
    "Burl",
    "Check",
    "Etrn",
    "Extension",
    "FutureRelease",
    "Offer",
    "Offered",
    "Profile",
    "Registry",
    "Row",
    "ServerLimits",
    "Source",
    "Unavailable",
    "When",
    "XClient",
    "XForward",
    "flag",
    "no_parameter",
    "parameters",
    "table",
]

_HOMES: Final = {
    "atrn": "ATRN Atrn",
    "burl": "BURL Burl",
    "checkpoint": "CHECKPOINT",
    "client_attributes": "Unavailable",
    "conversion": "CONNEG CONPERM",
    "deliver_by": "DELIVERBY",
    "dsn": "DSN",
    "etrn": "ETRN Etrn",
    "future_release": "FUTURERELEASE FutureRelease",
    "historic": "ONEX VERB",
    "mt_priority": "MT_PRIORITY",
    "mtrk": "MTRK",
    "no_soliciting": "NO_SOLICITING",
    "pipe_connect": "PIPECONNECT X_PIPE_CONNECT",
    "require_tls": "REQUIRETLS",
    "rrvs": "RRVS",
    "submitter": "SUBMITTER",
    "xclient": "XCLIENT XClient",
    "xforward": "XFORWARD Source XForward",
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """An extension is loaded where it is first met: a server uses a dozen of them."""
    if name == "parameters":
        return import_module("smtpwire.extensions.parameters")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"smtpwire.extensions.{_HOME_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
