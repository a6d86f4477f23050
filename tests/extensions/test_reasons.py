"""What is said of a malformed parameter, argument or offer: it tells its reader what to write."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.extensions.reading import read

from smtpwire.extensions import (
    DELIVERBY,
    DSN,
    EIGHTBITMIME,
    FUTURERELEASE,
    MTRK,
    SIZE,
    Atrn,
    Burl,
    Etrn,
    Extension,
    FutureRelease,
    Offer,
    Offered,
    ServerLimits,
    XClient,
    XForward,
    flag,
    parameters,
)
from smtpwire.extensions.atrn import ATRN_VERB
from smtpwire.extensions.burl import BURL_VERB
from smtpwire.extensions.etrn import ETRN_VERB
from smtpwire.extensions.historic import ONEX_VERB
from smtpwire.extensions.limits import LIMITS
from smtpwire.extensions.timestamp import parse_timestamp
from smtpwire.extensions.xclient import XCLIENT_VERB
from smtpwire.extensions.xforward import XFORWARD_VERB
from smtpwire.wire.command import CommandError

SECONDS = "not 1 to 999999999 seconds"
YEARS = "outside the years 1 to 9999 in UTC"
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parse", "malformed", "reason"),
    [
        (parameters.AUTH.parse, None, "needs a mailbox or <>"),
        (parameters.BODY.parse, "8BIT", "not one of 7BIT, 8BITMIME, BINARYMIME"),
        (parameters.BY.parse, "1", "not a number of seconds and a mode"),
        (parameters.BY.parse, "0;R", "nothing can be returned before it came"),
        (parameters.TRANSID.parse, "x", "not <identifier@domain> of at most 80 characters"),
        (parameters.ENVID.parse, None, "not 1 to 100 characters"),
        (parameters.NOTIFY.parse, "ALWAYS", "not NEVER or a list of SUCCESS, FAILURE, DELAY"),
        (parameters.NOTIFY.parse, "NEVER,DELAY", "NEVER stands by itself"),
        (parameters.ORCPT.parse, "b@example.org", "needs an address type and an address"),
        (parameters.ORCPT.parse, "rfc822;" + "x" * 494, "longer than 500 characters"),
        (parameters.HOLDFOR.parse, "0", SECONDS),
        (parameters.HOLDUNTIL.parse, "tomorrow", "not a date-time in UTC"),
        (parameters.MT_PRIORITY.parse, "10", "not a priority from -9 to 9"),
        (parameters.MTRK.parse, "=", "not a certifier and a timeout"),
        (parameters.SOLICIT.parse, "1st", "not a list of solicitation classes"),
        (parameters.SOLICIT.parse, "x" * 1000, "not less than 1000 characters"),
        (parameters.RRVS.parse, "now", "not a date-time without a fraction"),
        (parameters.SMTPUTF8.parse, "1", "takes no value"),
        (parse_timestamp, "2014", "not a date-time (RFC 3339 §5.6)"),
        (parse_timestamp, "2014-02-30T00:00:00Z", "no such date or time (RFC 3339 §5.7)"),
        (parse_timestamp, "2014-02-01T24:00:00Z", "no such date or time (RFC 3339 §5.7)"),
        (parse_timestamp, "0001-01-01T00:00:00+01:00", YEARS),
        (LIMITS.parse, "RCPTMAX = 1", "not a list of limits"),
        (ATRN_VERB.command, "host", "not a list of domains (RFC 2645 §5.2.1)"),
        (BURL_VERB.command, "here", "not an absolute URI (RFC 4468 §3.5)"),
        (ETRN_VERB.command, "@a_b", "not a domain (RFC 1985 §5)"),
        (ETRN_VERB.command, "#", "not a queue's name (RFC 1985 §5.3)"),
        (ONEX_VERB.command, "now", "takes no argument"),
        (XCLIENT_VERB.command, "", "no attributes"),
        (XCLIENT_VERB.command, "NAME", "not attribute=value"),
        (XCLIENT_VERB.command, "NAME=a NAME=b", "an attribute stands twice"),
        (XCLIENT_VERB.command, "NAME=" + "x" * 256, "longer than 255 characters"),
        (XCLIENT_VERB.command, "ADDR=here", "ADDR is no address"),
        (XFORWARD_VERB.command, "SOURCE=elsewhere", "SOURCE is not LOCAL or REMOTE"),
    ],
)
def test_of_what_is_malformed(
    parse: Callable[[str | None], object], malformed: str | None, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        parse(malformed)


@pytest.mark.parametrize(
    ("given", "offered", "code", "reason"),
    [
        ("BODY=BINARYMIME", [EIGHTBITMIME(True)], 501, "BINARYMIME is not offered"),
        ("BY=59;R", [DELIVERBY(60)], 555, "BY below the minimum of 60 seconds"),
        ("MTRK=x", [MTRK(True), DSN(True)], 501, "MTRK needs ENVID=identifier@host"),
        (
            "HOLDFOR=1 HOLDUNTIL=2026-12-31T00:00:00Z",
            [FUTURERELEASE(FutureRelease(9, NEW_YEAR))],
            501,
            "HOLDFOR and HOLDUNTIL exclude each other",
        ),
        (
            "HOLDFOR=10",
            [FUTURERELEASE(FutureRelease(9, NEW_YEAR))],
            501,
            "HOLDFOR above 9 seconds",
        ),
        (
            "HOLDUNTIL=2027-01-01T00:00:01Z",
            [FUTURERELEASE(FutureRelease(9, NEW_YEAR))],
            501,
            "HOLDUNTIL after 2027-01-01T00:00:00Z",
        ),
    ],
)
def test_of_what_the_offer_does_not_allow(
    given: str, offered: list[Offered], code: int, reason: str
) -> None:
    with pytest.raises(CommandError) as refused:
        read(f"MAIL FROM:<> {given}", *offered)
    error = refused.value
    assert (error.code, error.enhanced, error.reason, error.verb) == (code, "5.5.4", reason, "MAIL")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda: bytes(Atrn(("a.b,c.d",))), "not a list of domains (RFC 2645 §5.2.1)"),
        (lambda: bytes(Burl("imap://a LAST")), "not an absolute URI (RFC 4468 §3.5)"),
        (lambda: bytes(Etrn("@a.example")), "not a node or queue by this option (RFC 1985 §5)"),
        (
            lambda: bytes(XClient(name="[unavailable]")),
            "not attributes of a client (XCLIENT_README)",
        ),
        (
            lambda: bytes(XForward(name="[unavailable]")),
            "not attributes of a client (XFORWARD_README)",
        ),
        (lambda: LIMITS(ServerLimits()), "LIMITS needs a limit (RFC 9422 §3)"),
    ],
)
def test_of_what_cannot_be_written(write: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        write()


def test_of_a_parameter_without_a_value() -> None:
    reason = "a parameter without a value is given as True, or left out"
    with pytest.raises(ValueError, match=f"^{reason}$"):
        parameters.SMTPUTF8(False)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: SIZE("x"), "SIZE does not take 'x': 'SIZE x' would be it"),  # type: ignore[arg-type]
        (lambda: Offer([SIZE]), "pass extensions with their values: Offer([SIZE(9)])"),  # type: ignore[list-item]
        (
            lambda: Extension("MINE", "-", "-", flag, lambda on: on.upper())(True),  # type: ignore[attr-defined]
            "MINE does not take a bool: 'bool' object has no attribute 'upper'",
        ),
        (lambda: Burl(1), "Burl.url is an int: pass a str"),  # type: ignore[arg-type]
        (
            lambda: parameters.NOTIFY("NEVER"),  # type: ignore[arg-type]
            "NOTIFY does not take a str: pass a frozenset of Notify"
            " ('NEVER', 'SUCCESS', 'FAILURE' or 'DELAY')",
        ),
        (
            lambda: parameters.NOTIFY.format("NEVER"),  # type: ignore[arg-type]
            "NOTIFY is a str: pass a frozenset of Notify"
            " ('NEVER', 'SUCCESS', 'FAILURE' or 'DELAY')",
        ),
    ],
)
def test_of_a_wrong_type(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(reason)}$"):
        make()
