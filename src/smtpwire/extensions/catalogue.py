"""Every extension there is an entry for, and the table of them."""

from __future__ import annotations

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
from smtpwire.extensions.limits import LIMITS
from smtpwire.extensions.prdr import PRDR
from smtpwire.extensions.registry import AnyExtension, Registry, Row
from smtpwire.extensions.size import SIZE
from smtpwire.extensions.smtputf8 import SMTPUTF8

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
        Row("DSN", "dsn.DSN"),
        LIMITS,
        Row("REQUIRETLS", "require_tls.REQUIRETLS"),
        Row("DELIVERBY", "deliver_by.DELIVERBY"),
        Row("FUTURERELEASE", "future_release.FUTURERELEASE"),
        Row("MT-PRIORITY", "mt_priority.MT_PRIORITY"),
        Row("RRVS", "rrvs.RRVS"),
        Row("MTRK", "mtrk.MTRK"),
        Row("NO-SOLICITING", "no_soliciting.NO_SOLICITING"),
        Row("SUBMITTER", "submitter.SUBMITTER"),
        Row("CONPERM", "conversion.CONPERM"),
        Row("CONNEG", "conversion.CONNEG"),
        Row("CHECKPOINT", "checkpoint.CHECKPOINT"),
        Row("BURL", "burl.BURL", ("BURL",), secret=True),
        PRDR,
        Row("ETRN", "etrn.ETRN", ("ETRN",)),
        Row("ATRN", "atrn.ATRN", ("ATRN",)),
        HELP,
        VRFY,
        EXPN,
        Row("VERB", "historic.VERB", ("VERB",)),
        Row("ONEX", "historic.ONEX", ("ONEX",)),
        Row("PIPECONNECT", "pipe_connect.PIPECONNECT"),
        Row("X_PIPE_CONNECT", "pipe_connect.X_PIPE_CONNECT"),
        Row("XCLIENT", "xclient.XCLIENT", ("XCLIENT",)),
        Row("XFORWARD", "xforward.XFORWARD", ("XFORWARD",)),
    )
)
"""Every extension the house knows; what a side offers or reads is chosen from it.

Those that every server needs, and rows of the others: a new one is a file and a row here.
"""


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
