"""A pytest plugin: whoever imports smtplib gets the facade."""

import sys

from . import smtplib_facade

sys.modules["smtplib"] = smtplib_facade
