"""Every extension there is an entry for, and the table of them."""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.atrn import ATRN
from smtpwire.extensions.auth import AUTH
from smtpwire.extensions.body import BINARYMIME, EIGHTBITMIME
from smtpwire.extensions.burl import BURL
from smtpwire.extensions.checkpoint import CHECKPOINT
from smtpwire.extensions.conversion import CONNEG, CONPERM
from smtpwire.extensions.deliver_by import DELIVERBY
from smtpwire.extensions.dsn import DSN
from smtpwire.extensions.etrn import ETRN
from smtpwire.extensions.flags import (
    CHUNKING,
    ENHANCEDSTATUSCODES,
    EXPN,
    HELP,
    PIPELINING,
    STARTTLS,
    VRFY,
)
from smtpwire.extensions.future_release import FUTURERELEASE
from smtpwire.extensions.historic import ONEX, VERB
from smtpwire.extensions.limits import LIMITS
from smtpwire.extensions.mt_priority import MT_PRIORITY
from smtpwire.extensions.mtrk import MTRK
from smtpwire.extensions.no_soliciting import NO_SOLICITING
from smtpwire.extensions.pipe_connect import PIPECONNECT, X_PIPE_CONNECT
from smtpwire.extensions.prdr import PRDR
from smtpwire.extensions.registry import AnyExtension, Registry
from smtpwire.extensions.require_tls import REQUIRETLS
from smtpwire.extensions.rrvs import RRVS
from smtpwire.extensions.size import SIZE
from smtpwire.extensions.smtputf8 import SMTPUTF8
from smtpwire.extensions.submitter import SUBMITTER
from smtpwire.extensions.xclient import XCLIENT
from smtpwire.extensions.xforward import XFORWARD

__all__ = ["REGISTRY", "table"]

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
        DSN,
        LIMITS,
        REQUIRETLS,
        DELIVERBY,
        FUTURERELEASE,
        MT_PRIORITY,
        RRVS,
        MTRK,
        NO_SOLICITING,
        SUBMITTER,
        CONPERM,
        CONNEG,
        CHECKPOINT,
        BURL,
        PRDR,
        ETRN,
        ATRN,
        HELP,
        VRFY,
        EXPN,
        VERB,
        ONEX,
        PIPECONNECT,
        X_PIPE_CONNECT,
        XCLIENT,
        XFORWARD,
    )
)
"""Every extension the house knows; what a side offers or reads is chosen from it."""


def table(registry: Registry = REGISTRY) -> str:
    """A Markdown table of the extensions: keyword, source, what it is, what it brings."""
    head = ("| keyword | source | what | brings |", "|---|---|---|---|")
    return "\n".join((*head, *map(_row, registry))) + "\n"


def _row(entry: AnyExtension) -> str:
    brings = (
        *(f"MAIL `{parameter.keyword}`" for parameter in entry.mail),
        *(f"RCPT `{parameter.keyword}`" for parameter in entry.rcpt),
        *(f"`{verb.name}`" for verb in entry.verbs),
    )
    return f"| {entry.keyword} | {entry.rfc} | {entry.summary} | {', '.join(brings)} |"
