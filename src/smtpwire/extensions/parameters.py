"""The parameters of MAIL and RCPT by keyword: ``mail.parameters[parameters.SIZE]`` is an int.

The values' types stand beside them: ``Parameters(parameters.BODY(Body.EIGHTBITMIME))``.
"""

from smtpwire.extensions.auth import AUTH_PARAMETER as AUTH
from smtpwire.extensions.body import BODY_PARAMETER as BODY
from smtpwire.extensions.body import Body
from smtpwire.extensions.size import SIZE_PARAMETER as SIZE
from smtpwire.extensions.smtputf8 import SMTPUTF8_PARAMETER as SMTPUTF8

__all__ = ["AUTH", "BODY", "SIZE", "SMTPUTF8", "Body"]
