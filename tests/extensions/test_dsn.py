"""DSN (RFC 3461, RFC 6533 §3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, mail, rcpt, refuses_mail, refuses_rcpt

from smtpwire.extensions import DSN, SMTPUTF8, Offer, parameters
from smtpwire.extensions.parameters import Notify, Orcpt, Ret
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail, Rcpt
from smtpwire.wire.parameter import Parameter, Parameters

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126))


def test_a_client_writes_all_four() -> None:
    # RFC 3461 §10.1, its example
    opening = Mail(
        Address("Alice", "Example.ORG"),
        Parameters(parameters.RET(Ret.HDRS), parameters.ENVID("QQ314159")),
    )
    assert bytes(opening) == b"MAIL FROM:<Alice@example.org> RET=HDRS ENVID=QQ314159"
    recipient = Rcpt(
        Address("Bob", "Example.COM"),
        Parameters(
            parameters.NOTIFY(frozenset({Notify.FAILURE, Notify.SUCCESS})),
            parameters.ORCPT(Orcpt("rfc822", "Bob@Example.COM")),
        ),
    )
    assert bytes(recipient) == (
        b"RCPT TO:<Bob@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob@Example.COM"
    )


def test_a_server_reads_ret_in_either_case() -> None:
    # RFC 3461 §4.3
    assert mail("RET=full", DSN(True))[parameters.RET] is Ret.FULL
    assert mail("RET=HDRS", DSN(True))[parameters.RET] is Ret.HDRS


@pytest.mark.parametrize("wrong", ["RET", "RET=BODY", "RET=FULL RET=FULL", "RET=FULL,HDRS"])
def test_a_server_refuses_what_is_no_ret(wrong: str) -> None:
    # RFC 3461 §4.5, §5.1 (a)
    assert refuses_mail(wrong, DSN(True)) == 501


def test_a_server_reads_envid() -> None:
    # RFC 3461 §4.4
    assert mail("ENVID=a+2Bb+20c", DSN(True))[parameters.ENVID] == "a+b c"
    assert len(mail("ENVID=" + "x" * 100, DSN(True))[parameters.ENVID]) == 100


@pytest.mark.parametrize(
    "wrong",
    ["ENVID", "ENVID=a+0Ab", "ENVID=a+2b", "ENVID=a+", "ENVID=" + "x" * 101, "ENVID=a ENVID=a"],
)
def test_a_server_refuses_what_is_no_envid(wrong: str) -> None:
    # RFC 3461 §4, §4.4, §4.5
    assert refuses_mail(wrong, DSN(True)) == 501


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("NEVER", {Notify.NEVER}),
        ("never", {Notify.NEVER}),
        ("SUCCESS", {Notify.SUCCESS}),
        ("delay,Failure", {Notify.FAILURE, Notify.DELAY}),
        ("SUCCESS,FAILURE,DELAY", {Notify.SUCCESS, Notify.FAILURE, Notify.DELAY}),
    ],
)
def test_a_server_reads_notify(written: str, meant: set[Notify]) -> None:
    # RFC 3461 §4.1
    assert rcpt(f"NOTIFY={written}", DSN(True))[parameters.NOTIFY] == meant


@pytest.mark.parametrize(
    "wrong",
    [
        "NOTIFY",
        "NOTIFY=ALWAYS",
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=SUCCESS,",
        "NOTIFY=SUCCESS NOTIFY=DELAY",
    ],
)
def test_a_server_refuses_what_is_no_notify(wrong: str) -> None:
    # RFC 3461 §4.1 (a), §4.5, §5.1 (b)
    assert refuses_rcpt(wrong, DSN(True)) == 501


@pytest.mark.parametrize("wrong", [frozenset(), frozenset({Notify.NEVER, Notify.DELAY})])
def test_a_client_cannot_write_what_is_no_notify(wrong: frozenset[Notify]) -> None:
    # RFC 3461 §4.1
    with pytest.raises(ValueError):
        parameters.NOTIFY(wrong)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("rfc822;Bob+2Bnews@Example.COM", Orcpt("rfc822", "Bob+news@Example.COM")),
        ("x400;/C+3DGB", Orcpt("x400", "/C=GB")),
        ("RFC822;", Orcpt("RFC822", "")),
    ],
)
def test_a_server_reads_orcpt(written: str, meant: Orcpt) -> None:
    # RFC 3461 §4.2: not bound to the syntax of its type
    given = rcpt(f"ORCPT={written}", DSN(True))
    assert given[parameters.ORCPT] == meant
    assert given.raw == (("ORCPT", written),)  # §5.2.1 (d): a relay keeps it to the octet


@pytest.mark.parametrize(
    "wrong",
    [
        "ORCPT",
        "ORCPT=bob@example.com",
        "ORCPT=;bob@example.com",
        "ORCPT=rfc 822;b",
        "ORCPT=rfc@822;b",
        "ORCPT=rfc822;a+0Db",
        "ORCPT=rfc822;" + "x" * 494,
        "ORCPT=utf-8;a+3d",
        "ORCPT=rfc822;a ORCPT=rfc822;a",
    ],
)
def test_a_server_refuses_what_is_no_orcpt(wrong: str) -> None:
    # RFC 3461 §4.2, §4.5
    assert refuses_rcpt(wrong, DSN(True)) in (501, 555)
    assert refuses_rcpt("ORCPT=rfc822;" + "x" * 493, DSN(True)) == 250


def test_utf_8_has_three_forms() -> None:
    # RFC 6533 §3
    meant = Orcpt("utf-8", "jörg=1@example.com")
    xtext = rcpt(r"ORCPT=utf-8;j\x{F6}rg\x{3D}1@example.com", DSN(True))
    unitext = rcpt(r"ORCPT=utf-8;jörg\x{3D}1@example.com", DSN(True), SMTPUTF8(True), utf8=True)
    plain = rcpt("ORCPT=UTF-8;jörg@example.com", DSN(True), SMTPUTF8(True), utf8=True)
    assert xtext[parameters.ORCPT] == unitext[parameters.ORCPT] == meant
    assert plain[parameters.ORCPT] == Orcpt("UTF-8", "jörg@example.com")


def test_utf_8_beyond_ascii_needs_smtputf8() -> None:
    # RFC 6533 §3, RFC 6531 §3.3
    assert refuses_rcpt("ORCPT=utf-8;jörg@example.com", DSN(True)) == 501


def test_what_is_only_labelled_utf_8_is_kept() -> None:
    # RFC 6533 §3: without alteration
    given = rcpt(r"ORCPT=utf-8;a+20\b", DSN(True))
    assert given[parameters.ORCPT] == Orcpt("utf-8", r"a \b")
    assert given.raw == (("ORCPT", r"utf-8;a+20\b"),)


def test_a_client_writes_what_the_server_can_read() -> None:
    # RFC 6533 §3: ASCII without SMTPUTF8, UTF-8 with it
    meant = Orcpt("utf-8", "jörg@example.com")
    assert parameters.ORCPT(meant).raw == r"utf-8;j\x{F6}rg@example.com"
    assert parameters.ORCPT_UNITEXT(meant).raw == "utf-8;jörg@example.com"
    assert parameters.ORCPT_UNITEXT(Orcpt("rfc822", "a=b")).raw == "rfc822;a+3Db"
    assert parameters.ORCPT in Parameters(parameters.ORCPT_UNITEXT(meant))


@given(st.sampled_from(Ret))
def test_every_ret_comes_back(ret: Ret) -> None:
    comes_back(parameters.RET, ret)


@given(PRINTABLE.filter(lambda text: 0 < len(text) <= 33))
def test_every_envid_comes_back(envid: str) -> None:
    comes_back(parameters.ENVID, envid)


@given(
    st.just(frozenset({Notify.NEVER}))
    | st.frozensets(st.sampled_from([Notify.SUCCESS, Notify.FAILURE, Notify.DELAY]), min_size=1)
)
def test_every_notify_comes_back(notify: frozenset[Notify]) -> None:
    comes_back(parameters.NOTIFY, notify)


@given(st.sampled_from(["rfc822", "RFC822", "x400", "unknown"]), PRINTABLE)
def test_every_orcpt_comes_back(address_type: str, address: str) -> None:
    comes_back(parameters.ORCPT, Orcpt(address_type, address[:160]))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40))
def test_every_utf_8_orcpt_comes_back_in_both_forms(address: str) -> None:
    orcpt = Orcpt("utf-8", address)
    assert (comes_back(parameters.ORCPT, orcpt).raw or "").isascii()
    comes_back(parameters.ORCPT_UNITEXT, orcpt)


def test_the_lines_may_be_longer() -> None:
    # RFC 3461 §5.4 (a): RCPT lines of at least 1036 octets; RFC 3885 §2
    assert Offer([DSN(True)]).line_limits() == {"MAIL": 628, "RCPT": 1048}


@pytest.mark.parametrize("parameter", [parameters.ORCPT, parameters.ORCPT_UNITEXT])
def test_an_address_labelled_utf_8_that_is_empty_can_be_passed_on(
    parameter: Parameter[Orcpt],
) -> None:
    # RFC 6533 §3: not of that type, and to be copied without alteration
    assert comes_back(parameter, Orcpt("utf-8", "")).raw == "utf-8;"
