"""aiosmtpd's own black-box tests of a server, pointed at ours."""

from typing import Final

import pytest
from tests.interop import aiosmtpd_suite
from tests.interop.receiver import receiving

from smtpwire.adapters.session import Session
from smtpwire.engine.events import ServerEvent
from smtpwire.engine.server_config import ServerConfig
from smtpwire.wire.command import Vrfy
from smtpwire.wire.value import replace

pytestmark = pytest.mark.interop

TESTS: Final = 163

_HELP: Final = "RFC 5321 §4.3.2: HELP is answered 211 or 214; they want 250"
_COMMENTS: Final = "RFC 5321 §4.1.2: a mailbox has no comments; those are of header fields"
_BRACKETS: Final = "RFC 5321 §4.1.2: a path stands in brackets; here a blank ends what has none"
_BACKSLASH: Final = "RFC 5321 §4.1.2: no backslash outside of quotes (RFC 3696, erratum 246)"
_MIXED: Final = "RFC 5321 §4.1.2: a local-part is a dot-string or a quoted string, not of both"
_PATH: Final = "RFC 5321 §4.5.3.1.3: a path has 256 octets at most"
_LINE: Final = "RFC 5321 §4.5.3.1.4: a command line has 512 octets at most, and 500 says so"

_ADDRESSES: Final = {
    14: "RFC 5321 §4.1.3: [IPv6::1] is IPv6: and :1, which is no address",
    **dict.fromkeys((15, 16, 17, 18), _COMMENTS),
    **dict.fromkeys((24, 33), _BRACKETS),
    **dict.fromkeys((28, 29), _MIXED),
    **dict.fromkeys((30, 31), _BACKSLASH),
    37: "RFC 5321 §4.5.3.1.1: a local-part has 64 octets at most",
    **dict.fromkeys((38, 39), _PATH),
}
_INVALID: Final = "RFC 5321 §4.2.2: 501 is a syntax error in arguments; they want 553"
_PARAMETERS: Final = "RFC 5321 §4.1.1.11: a parameter not known after HELO is 555; they want 501"

OTHERWISE: Final[dict[str, str]] = {
    "test_ehlo": "they want the extensions of aiosmtpd, in its order",
    **dict.fromkeys(("test_help", "test_help_esmtp[MAIL]", "test_help_esmtp[RCPT]"), _HELP),
    **{
        f"test_help_[{verb}]": _HELP
        for verb in ["HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "VRFY", "AUTH"]
    },
    "test_help_bad_arg": "RFC 5321 §4.1.1.8: HELP may have any string for its argument",
    **{f"test_mail_valid_address[{number}]": why for number, why in _ADDRESSES.items()},
    **{f"test_rcpt_valid_address[{number}]": why for number, why in _ADDRESSES.items()},
    **dict.fromkeys(("test_rcpt_valid_address[41]", "test_rcpt_valid_address[42]"), _LINE),
    **{
        f"test_{command}_invalid_address[{number}]": _INVALID
        for command in ("mail", "mail_esmtp", "rcpt")
        for number in (0, 1)
    },
    "test_mail_smtp_errsyntax[params_noesmtp]": _PARAMETERS,
    "test_rcpt_smtp_errsyntax[params]": _PARAMETERS,
    "test_vrfy_not_address": "RFC 5321 §4.1.1.6: VRFY has any string for its argument; 252 is said",
}
"""Tests which ours does not pass, and the reason why ours is right."""


def default_answers(session: Session, event: ServerEvent) -> bool:
    if isinstance(event, Vrfy):
        session.conn.reply()
        return True
    return False


def test_aiosmtpds_own_tests() -> None:
    # They write MAIL FROM: <a@b> and worse, which is what the profile submission forgives.
    leniency = ServerConfig.submission("mx.test").leniency
    config = replace(ServerConfig.relay("mx.test"), leniency=leniency)
    with receiving(config, decide=default_answers) as receiver:
        result = aiosmtpd_suite.run("127.0.0.1", receiver.port)
    failed = {name.removeprefix("TestSMTP.") for name in result.failed}
    assert failed == set(OTHERWISE), result.output
    assert len(result.passed) + len(result.failed) == TESTS
