"""The extensions of SMTP as data: one entry each, from which everything else follows.

``offer[extensions.SIZE]`` is what was offered; ``mail.parameters[parameters.SIZE]`` is what the
command said. ``REGISTRY`` has them all; ``REGISTRY + (MINE,)`` adds a private one.

.. include:: README.md
"""

from __future__ import annotations

from smtpwire.extensions import parameters
from smtpwire.extensions.atrn import ATRN, Atrn
from smtpwire.extensions.auth import AUTH
from smtpwire.extensions.body import BINARYMIME, EIGHTBITMIME
from smtpwire.extensions.burl import BURL, Burl
from smtpwire.extensions.catalogue import REGISTRY, table
from smtpwire.extensions.checkpoint import CHECKPOINT
from smtpwire.extensions.client_attributes import Unavailable
from smtpwire.extensions.conversion import CONNEG, CONPERM
from smtpwire.extensions.deliver_by import DELIVERBY
from smtpwire.extensions.dsn import DSN
from smtpwire.extensions.etrn import ETRN, Etrn
from smtpwire.extensions.flags import (
    CHUNKING,
    ENHANCEDSTATUSCODES,
    EXPN,
    HELP,
    PIPELINING,
    STARTTLS,
    VRFY,
)
from smtpwire.extensions.future_release import FUTURERELEASE, FutureRelease
from smtpwire.extensions.historic import ONEX, VERB
from smtpwire.extensions.limits import LIMITS, ServerLimits
from smtpwire.extensions.mt_priority import MT_PRIORITY
from smtpwire.extensions.mtrk import MTRK
from smtpwire.extensions.no_soliciting import NO_SOLICITING
from smtpwire.extensions.pipe_connect import PIPECONNECT, X_PIPE_CONNECT
from smtpwire.extensions.prdr import PRDR
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
from smtpwire.extensions.require_tls import REQUIRETLS
from smtpwire.extensions.rrvs import RRVS
from smtpwire.extensions.size import SIZE
from smtpwire.extensions.smtputf8 import SMTPUTF8
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
