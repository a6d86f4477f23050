"""The parameters of MAIL and RCPT by keyword: ``mail.parameters[parameters.SIZE]`` is an int.

Called with a value a parameter gives what a command takes: ``Mail(sender,
Parameters(parameters.SIZE(1000), parameters.RET(parameters.Ret.HDRS)))``. ValueError or TypeError
for a value that cannot be written. Each takes and gives this type; the types stand beside them::

    AUTH           MAIL  Address | None     who submitted it; None: <>, not known or not trusted
    BODY           MAIL  Body               what octets the content is of
    BY             MAIL  DeliverBy          by when, and what happens then
    CONNEG         RCPT  bool               True: what can the recipient's device show?
    CONPERM        MAIL  bool               True: the content may be converted
    ENVID          MAIL  str                the sender's own identifier, printable ASCII
    HOLDFOR        MAIL  int                keep the message so many seconds
    HOLDUNTIL      MAIL  datetime           keep the message until then, with a time zone
    MTRK           MAIL  Mtrk               track the message; needs ENVID beside it
    MT_PRIORITY    MAIL  int                -9 to 9
    NOTIFY         RCPT  frozenset[Notify]  when to tell the sender; never empty
    ORCPT          RCPT  Orcpt              the original recipient, written in ASCII
    ORCPT_UNITEXT  RCPT  Orcpt              the same, written in UTF-8, for a server with SMTPUTF8
    PRDR           MAIL  bool               True: a reply a recipient after the data
    REQUIRETLS     MAIL  bool               True: every hop is to be under verified TLS
    RET            MAIL  Ret                how much a notification returns
    RRVS           RCPT  Rrvs               deliver only where the owner has not changed since
    SIZE           MAIL  int                octets with CRLFs, without stuffed dots
    SMTPUTF8       MAIL  bool               True: the envelope or the header needs it
    SOLICIT        MAIL  tuple[str, ...]    the classes of its Solicitation field
    SUBMITTER      MAIL  Address            who is responsible for it
    TRANSID        MAIL  str                identifier@domain of the transaction
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from smtpwire.extensions.auth import AUTH_PARAMETER
from smtpwire.extensions.body import BODY_PARAMETER, Body
from smtpwire.extensions.checkpoint import TRANSID_PARAMETER
from smtpwire.extensions.conversion import CONNEG_PARAMETER, CONPERM_PARAMETER
from smtpwire.extensions.deliver_by import BY_PARAMETER, ByMode, DeliverBy
from smtpwire.extensions.dsn import (
    ENVID_PARAMETER,
    NOTIFY_PARAMETER,
    ORCPT_PARAMETER,
    ORCPT_UNITEXT_PARAMETER,
    RET_PARAMETER,
    Notify,
    Orcpt,
    Ret,
)
from smtpwire.extensions.future_release import HOLDFOR_PARAMETER, HOLDUNTIL_PARAMETER
from smtpwire.extensions.mt_priority import MT_PRIORITY_PARAMETER
from smtpwire.extensions.mtrk import MTRK_PARAMETER, Mtrk
from smtpwire.extensions.no_soliciting import SOLICIT_PARAMETER
from smtpwire.extensions.prdr import PRDR_PARAMETER
from smtpwire.extensions.require_tls import REQUIRETLS_PARAMETER
from smtpwire.extensions.rrvs import RRVS_PARAMETER, NoSupport, Rrvs
from smtpwire.extensions.size import SIZE_PARAMETER
from smtpwire.extensions.smtputf8 import SMTPUTF8_PARAMETER
from smtpwire.extensions.submitter import SUBMITTER_PARAMETER
from smtpwire.wire.address import Address
from smtpwire.wire.parameter import Parameter

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "AUTH",
    "BODY",
    "BY",
    "CONNEG",
    "CONPERM",
    "ENVID",
    "HOLDFOR",
    "HOLDUNTIL",
    "MTRK",
    "MT_PRIORITY",
    "NOTIFY",
    "ORCPT",
    "ORCPT_UNITEXT",
    "PRDR",
    "REQUIRETLS",
    "RET",
    "RRVS",
    "SIZE",
    "SMTPUTF8",
    "SOLICIT",
    "SUBMITTER",
    "TRANSID",
    "Body",
    "ByMode",
    "DeliverBy",
    "Mtrk",
    "NoSupport",
    "Notify",
    "Orcpt",
    "Ret",
    "Rrvs",
]

AUTH: Final[Parameter[Address | None]] = AUTH_PARAMETER
"""MAIL ``AUTH``: who submitted the message; None: ``<>``, not known or not trusted (RFC 4954
§5)."""

BODY: Final[Parameter[Body]] = BODY_PARAMETER
"""MAIL ``BODY``: what octets the content is of (RFC 6152 §2, RFC 3030 §3)."""

BY: Final[Parameter[DeliverBy]] = BY_PARAMETER
"""MAIL ``BY``: by when, and what happens then (RFC 2852 §4)."""

CONNEG: Final[Parameter[bool]] = CONNEG_PARAMETER
"""RCPT ``CONNEG``: True: what can the recipient's device show? (RFC 4141 §5.2)."""

CONPERM: Final[Parameter[bool]] = CONPERM_PARAMETER
"""MAIL ``CONPERM``: True: the content may be converted (RFC 4141 §4.2)."""

ENVID: Final[Parameter[str]] = ENVID_PARAMETER
"""MAIL ``ENVID``: the sender's own identifier, printable ASCII (RFC 3461 §4.4)."""

HOLDFOR: Final[Parameter[int]] = HOLDFOR_PARAMETER
"""MAIL ``HOLDFOR``: keep the message so many seconds (RFC 4865 §3)."""

HOLDUNTIL: Final[Parameter[datetime]] = HOLDUNTIL_PARAMETER
"""MAIL ``HOLDUNTIL``: keep the message until then, with a time zone (RFC 4865 §3)."""

MTRK: Final[Parameter[Mtrk]] = MTRK_PARAMETER
"""MAIL ``MTRK``: track the message; needs ENVID beside it (RFC 3885 §3.1)."""

MT_PRIORITY: Final[Parameter[int]] = MT_PRIORITY_PARAMETER
"""MAIL ``MT-PRIORITY``: -9 to 9 (RFC 6710 §4.1)."""

NOTIFY: Final[Parameter[frozenset[Notify]]] = NOTIFY_PARAMETER
"""RCPT ``NOTIFY``: when to tell the sender; never empty (RFC 3461 §4.1)."""

ORCPT: Final[Parameter[Orcpt]] = ORCPT_PARAMETER
"""RCPT ``ORCPT``: the original recipient, written in ASCII (RFC 3461 §4.2)."""

ORCPT_UNITEXT: Final[Parameter[Orcpt]] = ORCPT_UNITEXT_PARAMETER
"""RCPT ``ORCPT``: the same, written in UTF-8, for a server with SMTPUTF8 (RFC 6533 §3)."""

PRDR: Final[Parameter[bool]] = PRDR_PARAMETER
"""MAIL ``PRDR``: True: a reply a recipient after the data (draft-hall-prdr §4.2)."""

REQUIRETLS: Final[Parameter[bool]] = REQUIRETLS_PARAMETER
"""MAIL ``REQUIRETLS``: True: every hop is to be under verified TLS (RFC 8689 §2)."""

RET: Final[Parameter[Ret]] = RET_PARAMETER
"""MAIL ``RET``: how much a notification returns (RFC 3461 §4.3)."""

RRVS: Final[Parameter[Rrvs]] = RRVS_PARAMETER
"""RCPT ``RRVS``: deliver only where the owner has not changed since (RFC 7293 §3.1)."""

SIZE: Final[Parameter[int]] = SIZE_PARAMETER
"""MAIL ``SIZE``: octets with CRLFs, without stuffed dots (RFC 1870 §5)."""

SMTPUTF8: Final[Parameter[bool]] = SMTPUTF8_PARAMETER
"""MAIL ``SMTPUTF8``: True: the envelope or the header needs it (RFC 6531 §3.4)."""

SOLICIT: Final[Parameter[tuple[str, ...]]] = SOLICIT_PARAMETER
"""MAIL ``SOLICIT``: the classes of its Solicitation field (RFC 3865 §2.3)."""

SUBMITTER: Final[Parameter[Address]] = SUBMITTER_PARAMETER
"""MAIL ``SUBMITTER``: who is responsible for it (RFC 4405 §4)."""

TRANSID: Final[Parameter[str]] = TRANSID_PARAMETER
"""MAIL ``TRANSID``: ``identifier@domain`` of the transaction (RFC 1845 §2)."""
