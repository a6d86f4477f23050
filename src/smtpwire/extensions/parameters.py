"""The parameters of MAIL and RCPT by keyword: ``mail.parameters[parameters.SIZE]`` is an int.

The values' types stand beside them: ``Parameters(parameters.BODY(Body.EIGHTBITMIME))``.
"""

from __future__ import annotations

from smtpwire.extensions.auth import AUTH_PARAMETER as AUTH
from smtpwire.extensions.body import BODY_PARAMETER as BODY
from smtpwire.extensions.body import Body
from smtpwire.extensions.checkpoint import TRANSID_PARAMETER as TRANSID
from smtpwire.extensions.conversion import CONNEG_PARAMETER as CONNEG
from smtpwire.extensions.conversion import CONPERM_PARAMETER as CONPERM
from smtpwire.extensions.deliver_by import BY_PARAMETER as BY
from smtpwire.extensions.deliver_by import ByMode, DeliverBy
from smtpwire.extensions.dsn import ENVID_PARAMETER as ENVID
from smtpwire.extensions.dsn import NOTIFY_PARAMETER as NOTIFY
from smtpwire.extensions.dsn import ORCPT_PARAMETER as ORCPT
from smtpwire.extensions.dsn import ORCPT_UNITEXT_PARAMETER as ORCPT_UNITEXT
from smtpwire.extensions.dsn import RET_PARAMETER as RET
from smtpwire.extensions.dsn import Notify, Orcpt, Ret
from smtpwire.extensions.future_release import HOLDFOR_PARAMETER as HOLDFOR
from smtpwire.extensions.future_release import HOLDUNTIL_PARAMETER as HOLDUNTIL
from smtpwire.extensions.mt_priority import MT_PRIORITY_PARAMETER as MT_PRIORITY
from smtpwire.extensions.mtrk import MTRK_PARAMETER as MTRK
from smtpwire.extensions.mtrk import Mtrk
from smtpwire.extensions.no_soliciting import SOLICIT_PARAMETER as SOLICIT
from smtpwire.extensions.prdr import PRDR_PARAMETER as PRDR
from smtpwire.extensions.require_tls import REQUIRETLS_PARAMETER as REQUIRETLS
from smtpwire.extensions.rrvs import RRVS_PARAMETER as RRVS
from smtpwire.extensions.rrvs import NoSupport, Rrvs
from smtpwire.extensions.size import SIZE_PARAMETER as SIZE
from smtpwire.extensions.smtputf8 import SMTPUTF8_PARAMETER as SMTPUTF8
from smtpwire.extensions.submitter import SUBMITTER_PARAMETER as SUBMITTER

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
