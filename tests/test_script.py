"""Peers from transcripts: what they say, what they expect, and how a difference is shown."""

import asyncio
import math
import re
import smtplib
import socket
from typing import Any, Final

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from smtpwire import (
    ClientConfig,
    ClientConnection,
    Closed,
    CloseReason,
    Disposition,
    EndOfMessage,
    Noop,
    Password,
    ProtocolViolation,
    Security,
    ServerConfig,
    ServerConnection,
    ViolationKind,
    replace,
)
from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking
from smtpwire.adapters import trio as trio_adapter
from smtpwire.operations import (
    HANDED_IN,
    Operation,
    SendResult,
    ServiceRefused,
    SessionError,
    TlsRequired,
    open_session,
    quit,
    send_mail,
    verify,
)
from smtpwire.testing import Script, ScriptDiffers, every_split, sink
from smtpwire.testing.script import Player, Send, Step, _captured, _Ordinary
from smtpwire.transcript import Line

PLAIN: Final = ClientConfig("client.example")
TLS: Final = ClientConfig("client.example", security=Security.STARTTLS, host="mx.example")


def session(conn: ClientConnection) -> Operation[SendResult]:
    """A whole session with one message."""
    yield from open_session(conn)
    result = yield from send_mail(conn, "a@b.example", ["c@d.example"], b"Hello\r\n")
    yield from quit(conn)
    return result


def against(text: str, config: ClientConfig = PLAIN, **settings: Any) -> SendResult:
    conn = ClientConnection(config)
    return Script(text, **settings).run(conn, session(conn))


def outcome(text: str) -> tuple[Disposition, str]:
    (recipient,) = against(text).recipients
    return recipient.outcome, recipient.command


# -- failures of tests/cases, each in three lines


def test_421_after_rcpt() -> None:
    assert outcome("...\nC: RCPT ...\nS: 421 4.3.2 Going down\n--drop") == (
        Disposition.RETRY,
        "RCPT",
    )


def test_d_rep_014_421_as_reply_to_the_message() -> None:
    assert outcome("...\nC: .\nS: 421 4.3.2 Going down\n--drop") == (
        Disposition.RETRY,
        "end of data",
    )


def test_d_rep_015_connection_lost_after_the_dot() -> None:
    assert outcome("...\nC: .\n--drop") == (Disposition.UNKNOWN, "end of data")


def test_d_rep_016_data_answered_250() -> None:
    assert outcome("...\nC: DATA\nS: 250 go") == (Disposition.RETRY, "DATA")


def test_d_rep_005_different_codes_in_one_reply() -> None:
    with pytest.raises(SessionError, match="different codes"):
        against("S: 220 mx\nC: EHLO ...\nS: 250-mx\nS: 220 SIZE")


def test_d_rep_007_a_greeting_that_is_none() -> None:
    with pytest.raises(SessionError, match="no reply"):
        against("S: SSH-2.0-OpenSSH_9.6")


def test_d_rep_012_521_as_greeting() -> None:
    with pytest.raises(ServiceRefused) as refused:
        against("S: 521 no mail here")
    assert refused.value.reply is not None
    assert refused.value.reply.code == 521


def test_d_tls_009_a_reply_injected_behind_the_220() -> None:
    conn = ClientConnection(TLS)
    script = Script("""
        S: 220 mx
        C: EHLO ...
        S: 250-mx
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 go
        S: 250 injected
    """)
    with pytest.raises(SessionError):
        script.run(conn, open_session(conn))
    assert conn.tls is None


def test_d_tls_010_starttls_answered_454() -> None:
    with pytest.raises(TlsRequired):
        against(
            "S: 220 mx\nC: EHLO ...\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 not now", TLS
        )


def test_a_verb_is_the_same_in_either_case() -> None:
    """RFC 5321 §2.4. smtplib writes ``mail from:`` from Python 3.13 on."""
    for text, line in (
        ("RCPT TO:<{who}>", b"rcpt to:<a@B.example>"),
        ("MAIL FROM:<a@B.example>", b"Mail From:<a@B.example>"),
        ("EHLO {name}", b"ehlo x"),
    ):
        assert _captured(text, line, {}) is not None
    assert _captured("MAIL FROM:<a@B.example>", b"mail from:<a@b.example>", {}) is None
    assert _captured("EHLO Name", b"EHLO name", {}) is None


def test_2x0_junk() -> None:
    assert outcome("...\nC: MAIL ...\nS: 2x0 junk") == (Disposition.RETRY, "MAIL")


# -- a server in memory


def test_an_ordinary_server() -> None:
    assert outcome("...") == (Disposition.DONE, "")


def test_what_it_grants_has_happened() -> None:
    text = """
        ...
        C: EHLO {name}
        S: 250-mx greets {name}
        S: 250 ENHANCEDSTATUSCODES
        ...
        C: MAIL ...
        S: 250 2.1.0 ok
        ...
        C: DATA
        S: 354 go
        ...
        C: .
        S: 250 2.0.0 taken by {host}
        ...
        C: QUIT
        S: 221 2.0.0 bye
        --end
    """
    (recipient,) = against(text, values={"host": "mx.example"}).recipients
    assert recipient.reply is not None
    assert recipient.reply.text == "taken by mx.example"


def test_what_it_refuses_has_not() -> None:
    text = "...\nC: MAIL ...\nS: 450 4.7.1 greylisted\n..."
    assert outcome(text) == (Disposition.RETRY, "MAIL")
    assert outcome("...\nC: .\nS: 451 4.3.0 later\n...") == (Disposition.RETRY, "end of data")


def test_it_speaks_first_and_is_ordinary_later() -> None:
    assert outcome("S: 220 mx.example says hello\n...") == (Disposition.DONE, "")
    with pytest.raises(SessionError, match="going"):
        against("...\nS: 421 4.3.2 going")


def test_a_login_at_an_ordinary_server() -> None:
    config = replace(
        ServerConfig.relay("mx.example"), mechanisms=("PLAIN",), cleartext_without_tls=True
    )
    conn = ClientConnection(replace(PLAIN, cleartext_authentication_without_verified_tls=True))
    Script("...", config=config).run(conn, open_session(conn, Password("joe", "anything")))
    assert conn.identity is not None
    scram = replace(config, mechanisms=("SCRAM-SHA-256",), scram_secret=b"0123456789abcdef")
    conn = ClientConnection(PLAIN)
    Script("...", config=scram).run(conn, open_session(conn, Password("joe", "password")))
    assert conn.identity is not None


def test_a_simulated_handshake() -> None:
    text = """
        S: 220 mx
        C: EHLO ...
        S: 250-mx
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 go
        --starttls
        ...
    """
    conn = ClientConnection(TLS)
    Script(text).run(conn, open_session(conn))
    assert conn.tls is not None


@pytest.mark.parametrize("end", ["--drop", "--reset"])
def test_a_handshake_that_does_not_come_about(end: str) -> None:
    offer = "S: 220 mx\nC: EHLO ...\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n"
    with pytest.raises(SessionError):
        against(offer + end, TLS)
    with pytest.raises(ScriptDiffers, match=r"\+ \(nothing: it waits\)"):
        against(offer + "C: EHLO ...", TLS)


def test_a_client_that_wants_no_tls() -> None:
    with pytest.raises(ScriptDiffers, match=r"- --starttls\n\+ \(no handshake\)"):
        against("S: 220 mx\n--starttls")
    with pytest.raises(ScriptDiffers, match=r"\(no handshake\)"):
        against("...\nC: QUIT\nS: 221 bye\n--starttls")


def test_time_passes_only_where_it_is_long() -> None:
    assert outcome("...\nC: MAIL ...\n--wait 1\nS: 250 ok\n...") == (Disposition.DONE, "")
    with pytest.raises(SessionError, match="too slow"):
        against("--wait 3600")


def test_a_reset() -> None:
    with pytest.raises(SessionError, match="reset by peer"):
        against("...\nC: MAIL ...\n--reset".replace("MAIL", "EHLO"))


# -- what is expected


def _as_re(text: str, values: dict[str, bytes]) -> bytes:
    """The same as a pattern, which can take time without bounds."""
    tokens = re.findall(r"\.\.\.|\{[a-z]\}|.", text)
    parts, named = list[bytes](), set[str]()
    for token in tokens:
        name = token[1:-1] if len(token) == 3 and token[0] == "{" else ""
        if token == "...":
            parts.append(b".*")
        elif name in values:
            parts.append(re.escape(values[name]))
        elif name:
            parts.append((b"(?P=%s)" if name in named else b"(?P<%s>.+?)") % name.encode())
            named.add(name)
        else:
            parts.append(re.escape(token.encode()))
    return b"(?s:%s)" % b"".join(parts)


@given(
    st.lists(st.sampled_from(["...", "{x}", "{y}", "{k}", "a", "b", " "]), max_size=8).map("".join),
    st.text("ab .", max_size=12).map(str.encode),
)
def test_a_line_is_compared_as_by_a_pattern(text: str, line: bytes) -> None:
    values = {"k": b"a"}
    text = re.sub(r"\.\.\.(?:\.\.\.)+", "...", text)
    try:
        Script(f"C: x{text}\nS: 250 ok", values={"k": "a"})
    except ValueError:  # see below
        return
    found = re.fullmatch(_as_re(text, values), line)
    assert _captured(f" {text}", b" " + line, values) == (found and found.groupdict())


@pytest.mark.parametrize("gap", ["...", "{x}", "a..."])
def test_a_line_of_many_gaps_is_compared_at_once(gap: str) -> None:
    """Each would be tried with each of the others: it took time without bounds."""
    names = iter("abcdefghijklmnopqrstuvwxyz")
    text = "".join(gap.replace("x", next(names)) for _ in range(26))
    assert _captured(f"250 {text}!", b"250 " + b"a" * 1000, {}) is None
    assert _captured(f"250 {text}!", b"250 " + b"a" * 1000 + b"!", {}) is not None


@pytest.mark.parametrize("text", ["MAIL ...{x}{x}", "MAIL {y} {x} {x}", "MAIL {y}{x}{y}{x}"])
def test_a_name_that_comes_twice_behind_anything(text: str) -> None:
    with pytest.raises(ValueError, match="comes twice, behind what may be anything"):
        Script(f"C: {text}\nS: 250 ok")
    Script(f"C: {text[:4]} {{x}}\nS: 250 ok\nC: {text}\nS: 250 ok")


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ("mail FROM:<a@b.example>", True),
        ("MAIL FROM:<a@...>", True),
        ("MAIL FROM:<{who}@{where}>", True),
        ("{verb} FROM:<a@b.example>", True),
        ("MAIL FROM:<{x}@{x}.example>", False),
        ("MAIL FROM:<a@b.{x}xampl{x}>", True),
        ("RCPT TO:<{x}@{x}>", False),
        ("MAIL FROM:<a@b.{x}...{x}>", True),
        ("MAIL FROM:<A@b.example>", False),
        ("MAIL FROM:<a@b\\x2eexample>", True),
        ("MAIL FROM:<a@b\\x2e\\x2e\\x2e", False),
        ("...", True),
        ("… 25 octets", True),
        ("… 24 octets", False),
    ],
)
def test_lines_that_are_expected(line: str, good: bool) -> None:
    player = Player(Script(f"C: {line}\nS: 250 ok"))
    player.receive_data(b"MAIL FROM:<a@b.example>\r\n")
    assert isinstance(player.next_step(), Send) is good or line.startswith("… 24")
    if line.startswith("… 24"):
        player = Player(Script(f"C: {line}\nC: x\nS: 250 ok"))
        player.receive_data(b"MAIL FROM:<a@b.example>\r\n")
        player.next_step()
    assert bool(player.difference) is not good


def test_what_was_said_is_known() -> None:
    player = Player(Script("C: EHLO {name}\nS: 250 hello {name}\nC: EHLO {name}\nS: 250 again"))
    player.receive_data(b"EHLO a.example\r\nEHLO b.example\r\n")
    assert player.next_step() == Send(b"250 hello a.example\r\n")
    assert player.next_step() is Step.DROP
    assert "- C: EHLO {name}\n+ C: EHLO b.example\n  (1 more" in player.difference
    assert player.dialogue == (Line("C", b"EHLO a.example"), Line("S", b"250 hello a.example"))


def test_any_number_of_lines() -> None:
    player = Player(Script("C: ...\nC: .\nS: 250 ok\nC: ...\nC: ...\nC: QUIT\nS: 221 x\n--end"))
    player.receive_data(b"a\r\nb\r\n.\r\nNOOP\r\nRSET\r\nVRFY x\r\nQUIT\r\n")
    assert player.next_step() == Send(b"250 ok\r\n")
    assert player.next_step() == Send(b"221 x\r\n")
    assert player.next_step() is Step.READ
    player.receive_data(b"")
    assert player.next_step() is Step.DROP
    assert player.difference == ""


def test_octets_as_they_are() -> None:
    player = Player(Script("C| NOOP\\n\nS| 25\nC: X\nS: 0 ok\\x20"))
    player.receive_data(b"NOO")
    assert player.next_step() is Step.READ
    player.receive_data(b"P\n")
    assert player.next_step() == Send(b"25")
    player.receive_data(b"X")
    assert player.next_step() is Step.READ
    player.receive_data(b"\r\n")
    assert player.next_step() == Send(b"0 ok \r\n")
    for octets in (b"X", b""):
        player = Player(Script("C| NOOP\\n"))
        player.receive_data(octets)
        assert player.next_step() is Step.DROP
        assert player.difference


def test_a_line_with_lf_alone_is_another() -> None:
    for octets, shown in ((b"QUIT\n", "C| QUIT\\n"), (b"QUIT", "C| QUIT")):
        player = Player(Script("C: QUIT\nS: 221 bye"))
        player.receive_data(octets)
        player.receive_data(b"")
        assert player.next_step() is Step.DROP
        assert f"- C: QUIT\n+ {shown}" in player.difference


def test_secrets_are_not_shown() -> None:
    player = Player(Script("C: QUIT"))
    player.receive_data(b"AUTH PLAIN AGpvZQBwZW5jaWw=\r\n")
    assert player.next_step() is Step.DROP
    assert "AGpv" not in player.difference
    assert "AUTH PLAIN <redacted>" in player.difference


@pytest.mark.parametrize(
    ("script", "said", "shown"),
    [
        (
            "C: AUTH PLAIN AGpvZQBwZW5jaWw=",
            b"NOOP\r\n",
            "- C: AUTH PLAIN <redacted>\n+ C: NOOP",
        ),
        (
            "C: AUTH PLAIN AGpvZQBwZW5jaWw=",
            b"AUTH PLAIN AGpvZQBwZW5jaWI=\r\n",
            "- C: AUTH PLAIN <redacted>\n+ C: AUTH PLAIN <redacted> (another secret)",
        ),
        ("C: AUTH PLAIN ...", b"NOOP\r\n", "- C: AUTH PLAIN ...\n+ C: NOOP"),
        ("C: AUTH PLAIN {initial}", b"NOOP\r\n", "- C: AUTH PLAIN {initial}\n+ C: NOOP"),
        ("C: BURL imap://joe:pencil@x LAST", b"NOOP\r\n", "- C: BURL <redacted>\n+ C: NOOP"),
        (
            "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: Pencil",
            b"AUTH LOGIN\r\npencils\r\n",
            "- C: <redacted>\n+ C: <redacted> (another secret)",
        ),
        ("C: AUTH LOGIN\nS: 334 x\nC: {user}", b"AUTH LOGIN\r\n", "- C: {user}\n+ (the conn"),
    ],
)
def test_a_script_s_own_secrets_are_not_shown(script: str, said: bytes, shown: str) -> None:
    player = Player(Script(script))
    player.receive_data(said)
    player.receive_data(b"")
    while player.next_step() is not Step.DROP:
        pass
    assert shown in player.difference
    assert not re.search("AGpv|encil", player.difference)


def test_nor_where_the_script_is_wrong() -> None:
    with pytest.raises(
        ValueError, match="line 1, 'AUTH PLAIN <redacted>': nobody has said"
    ) as error:
        Script("S: AUTH PLAIN AGpvZQBwZW5jaWw= {x}")
    assert "AGpv" not in str(error.value)


def test_a_difference_is_shown() -> None:
    with pytest.raises(ScriptDiffers) as differs:
        against("S: 220 mx\nC: EHLO ...\nS: 250 mx\n# no mail\nC: VRFY x\nS: 250 ok\nC: QUIT")
    assert str(differs.value) == (
        "the client differs from the script at line 5:\n"
        "  S: 220 mx\n"
        "  C: EHLO client.example\n"
        "  S: 250 mx\n"
        "- C: VRFY x\n"
        "+ C: MAIL FROM:<a@b.example>\n"
        "  (2 more of the script's lines)"
    )


def test_a_difference_has_nothing_that_moves_a_terminal() -> None:
    player = Player(Script("C: NOOP \x1b[2J\u202e\\x07\nS: 250 ok"))
    player.receive_data(b"NOOP \x1b[1A\r\n")
    assert player.next_step() is Step.DROP
    assert player.difference == (
        "the client differs from the script at line 1:\n"
        "- C: NOOP \\x1b[2J\\xe2\\x80\\xae\\x07\n"
        "+ C: NOOP <redacted>\n"
        "  (1 more of the script's lines)"
    )
    player = Player(Script("C: NOOP"))
    player.failed("(\x1b[2J)")
    assert player.difference.endswith("\n+ (\\x1b[2J)")


def test_more_than_was_expected() -> None:
    with pytest.raises(ScriptDiffers, match=r"- --end\n\+ C: MAIL FROM"):
        against("S: 220 mx\nC: EHLO ...\nS: 250 mx\n--end")
    player = Player(Script("--end"))
    player.receive_data(b"half")
    assert player.next_step() is Step.DROP
    assert "+ C| half" in player.difference


def test_the_client_is_gone_too_early() -> None:
    with pytest.raises(ScriptDiffers, match=r"- C: RSET\n\+ \(the connection was closed\)"):
        against("...\nC: RSET\nS: 250 ok")
    with pytest.raises(ScriptDiffers, match=r"\(the connection was closed\)"):
        against("...\nC: QUIT\nS: 221 bye\nC: QUIT")
    with pytest.raises(ScriptDiffers, match=r"\(nothing: it waits\)"):
        against("S: 220 mx\nC: EHLO ...\nC: NOOP")


def test_what_the_operation_raises() -> None:
    conn = ClientConnection(PLAIN)
    with pytest.raises(TypeError, match="HANDED_IN"):
        Script("...").run(conn, _handed_in(conn))


def _handed_in(conn: ClientConnection) -> Operation[SendResult]:
    yield from open_session(conn)
    return (yield from send_mail(conn, "a@b.example", ["c@d.example"], HANDED_IN))


def test_a_failure_after_the_end_is_none() -> None:
    player = Player(Script("--drop"))
    assert player.next_step() is Step.DROP
    player.failed("silence")
    assert player.difference == ""
    player = Player(Script("S: 220 x"))
    player.failed("silence")
    assert "- S: 220 x\n+ silence" in player.difference
    player = Player(Script(""))
    player.failed("silence")
    assert player.difference == (
        "the client differs from the script there:\n- (the end of the script)\n+ silence"
    )


# -- a client in memory

RELAY: Final = ServerConfig.relay("mx.example", ["d.example"])


def call(text: str, config: ServerConfig = RELAY) -> list[object]:
    return list(Script(text, plays="client").call(ServerConnection(config)))


TRANSACTION: Final = """
    S: 220 ... ESMTP
    C: EHLO client.example
    S: 250 ...
    C: MAIL FROM:<a@b.example>
    S: 250 ...
    C: RCPT TO:<c@d.example>
    ...
    C: DATA
    ...
    S: 354 ...
    C: Hello
    C: .
    S: 250 {text}
"""


def test_a_client_with_a_message() -> None:
    events = call(TRANSACTION + "C: QUIT\nS: 221 ...\n--end")
    assert [event.size for event in events if isinstance(event, EndOfMessage)] == [7]
    assert events[-1].reason is CloseReason.QUIT  # type: ignore[attr-defined] # Closed


def test_a_server_that_differs() -> None:
    with pytest.raises(ScriptDiffers, match=r"at line 4:\n(?s:.*)- S: 220 ok\n\+ S: 250-mx"):
        call("S: ...\n\nC: EHLO a\nS: 220 ok")
    with pytest.raises(ScriptDiffers, match=r"- S: 250 OK\n\+ \(nothing: it waits\)"):
        call("S: ...\nC| NO\nS: 250 OK")
    with pytest.raises(ScriptDiffers, match=r"- S: 250 OK\n\+ \(the connection was closed\)"):
        call("...\nC: QUIT\nS: 221 ...\nS: 250 OK")
    with pytest.raises(ScriptDiffers, match=r"\(no handshake\)"):
        call("...\nC: NOOP\nS: 250 ...\n--starttls")


def test_smuggling_is_seen() -> None:
    events = call("...\nC| NOOP\\nNOOP\\r\\n\nS: 500 ...\n--drop")
    assert [event.kind for event in events if isinstance(event, ProtocolViolation)] == [
        ViolationKind.BARE_LF
    ]


def test_a_client_that_starts_tls_and_one_that_is_slow() -> None:
    config = replace(RELAY, starttls=True)
    text = "...\nC: EHLO a\nS: 250 ...\nC: STARTTLS\nS: 220 ...\n--starttls\nC: EHLO a\n..."
    conn = ServerConnection(config)
    Script(text, plays="client").call(conn)
    assert conn.tls is not None
    assert call("...\n--wait 1\nC: NOOP\nS: 250 ...\n--wait 3600\nS: 421 ...\n--end")
    closed = call("...\nC: NOOP\n--reset")[-1]
    assert isinstance(closed, Closed)
    assert closed.reason is CloseReason.ABORTED


def test_all_that_the_server_says() -> None:
    assert call("...\nC: NOOP\nC: QUIT\n...")
    assert call("...\nC: NOOP\nC: QUIT\n...\nS: 221 ...")


def test_an_application_answers() -> None:
    conn = ServerConnection(RELAY)
    script = Script("S: 220 ...\nC: NOOP\nS: 250 ...", plays="client")
    script.call(conn, lambda event: conn.reply())
    conn = ServerConnection(RELAY)
    with pytest.raises(ScriptDiffers, match="it waits"):
        script.call(conn, lambda event: None)


def test_a_server_that_must_write() -> None:
    conn = ServerConnection(replace(RELAY, limits=replace(RELAY.limits, output=10)))
    text = "...\n" + "C: NOOP\n" * 9 + "S: 250 ...\n" * 9
    assert Script(text, plays="client").call(conn)
    conn = ServerConnection(replace(RELAY, limits=replace(RELAY.limits, output=10)))
    assert Script("...\n" + "C: NOOP\n" * 9 + "--drop", plays="client").call(conn)


# -- what is no script


@pytest.mark.parametrize(
    ("text", "plays", "words"),
    [
        ("S: 250 ...", "server", r"line 1, 'S: 250 ...': ... cannot be said"),
        ("C: x\nS: {x}", "server", r"line 2, 'S: \{x\}': nobody has said what \{x\} is"),
        ("--sleep 3", "server", "no mark of a script, which are drop, end"),
        ("--wait", "server", "pass the seconds"),
        ("--wait x", "server", "pass the seconds"),
        ("S: … 5 octets", "server", "elided octets cannot be said"),
        ("C| a...", "server", "expected as they are"),
        ("C| {a}", "server", "expected as they are"),
        ("EHLO", "server", "line 1 is none of a transcript's"),
        ("S: 220 mx\n\x0c\n", "server", "line 2 is none of a transcript's"),
        ("", "proxy", "plays is 'proxy'"),
    ],
)
def test_what_is_refused(text: str, plays: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Script(text, plays=plays)


def test_each_role_has_its_calls() -> None:
    server, client = Script(""), Script("", plays="client")
    for call in (
        lambda: client.run(ClientConnection(), verify(ClientConnection(), "x")),
        lambda: server.call(ServerConnection(RELAY)),
        lambda: client.listen(),
        lambda: server.connect("127.0.0.1", 25),
    ):
        with pytest.raises(ValueError, match="this script plays the"):
            call()
    with pytest.raises(TypeError):
        Script("", values={"a": 1})  # type: ignore[dict-item] # what is tested


def test_wrong_types_are_refused_at_the_door() -> None:
    server, client = Script(""), Script("", plays="client")
    wrong: Any = "10"
    number: Any = 25
    for call, words in (
        (lambda: server.listen(timeout=wrong), "timeout is a str: pass a float"),
        (lambda: client.connect("127.0.0.1", 25, timeout=wrong), "timeout is a str"),
        (lambda: client.connect(wrong, wrong), "port is a str: pass an int"),
        (lambda: client.connect(number, 25), "host is an int: pass a str"),
        (lambda: server.run(wrong, verify(ClientConnection(), "x")), "conn is a str"),
        (lambda: server.run(ClientConnection(), wrong), "operation is a str: pass a Generator"),
        (lambda: client.call(wrong), "conn is a str: pass a ServerConnection"),
        (lambda: client.call(ServerConnection(RELAY), wrong), "answer is a str: pass a callable"),
    ):
        with pytest.raises(TypeError, match=f"^{words}"):
            call()
    for seconds in (0, -1.0, 1e10, math.inf):
        with pytest.raises(ValueError, match=f"^timeout is {seconds}: pass seconds, more than 0"):
            server.listen(timeout=seconds)
    with pytest.raises(ValueError, match=r"^port is 70000: pass 0 to 65535"):
        client.connect("127.0.0.1", 70000)


# -- at a socket

SHORT: Final = "...\nC: RCPT ...\nS: 421 4.3.2 Going down\n--drop"


def test_a_blocking_client_at_a_socket() -> None:
    with Script(SHORT).listen() as server, blocking.connect(server.host, server.port) as client:
        client.open_session()
        (recipient,) = client.send_mail("a@b.example", ["c@d.example"], b"x\r\n").recipients
    assert recipient.outcome is Disposition.RETRY


def test_an_asyncio_client_at_a_socket() -> None:
    async def main() -> Disposition:
        async with Script(SHORT).listen() as server:
            client = await asyncio_adapter.connect(server.host, server.port)
            await client.open_session()
            result = await client.send_mail("a@b.example", ["c@d.example"], b"x\r\n")
            await client.close()
        return result.recipients[0].outcome

    assert asyncio.run(main()) is Disposition.RETRY


def test_a_trio_client_at_a_socket() -> None:
    async def main() -> Disposition:
        async with Script(SHORT).listen() as server:
            client = await trio_adapter.connect(server.host, server.port)
            await client.open_session()
            result = await client.send_mail("a@b.example", ["c@d.example"], b"x\r\n")
            await client.close()
        return result.recipients[0].outcome

    assert trio.run(main) is Disposition.RETRY


def test_smtplib_under_tls_at_a_socket() -> None:
    script = Script("""
        S: 220 mx
        C: EHLO ...
        S: 250-mx
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 go
        --starttls
        C: QUIT
        S: 221 bye
        --end
    """)
    with script.listen() as server, smtplib.SMTP("localhost", server.port) as client:
        client.starttls(context=server.certificate.client_context())


def talk(text: str, octets: bytes, *, timeout: float = 10) -> bool:
    """Say something to a script at a socket, and hear it to its end; True where that is a reset."""
    with (
        Script(text).listen(timeout=timeout) as server,
        socket.create_connection((server.host, server.port)) as sock,
    ):
        sock.sendall(octets)
        try:
            while sock.recv(100):
                pass
        except ConnectionResetError:
            return True
    return False


def test_differences_at_a_socket() -> None:
    with pytest.raises(ScriptDiffers, match=r"- C: EHLO x\n\+ C: NOOP"):
        talk("S: 220 mx\nC: EHLO x", b"NOOP\r\n")
    with pytest.raises(ScriptDiffers, match=r"nothing, for 0\.05 s"):
        talk("C: EHLO x", b"", timeout=0.05)
    with pytest.raises(ScriptDiffers, match="- --starttls"):
        talk("--starttls", b"no handshake at all\r\n\r\n")
    assert talk("S: 220 mx\nC: NOOP\n--reset", b"NOOP\r\n")
    assert not talk("S: 220 mx\nC: NOOP\n--drop", b"NOOP\r\n")
    with pytest.raises(ScriptDiffers, match="did not connect"), Script("").listen():
        pass


def test_an_exception_in_the_block_is_raised_and_the_difference_noted() -> None:
    def failing() -> None:
        with (
            Script("--wait 600\nC: x").listen() as server,
            socket.create_connection((server.host, server.port)),
        ):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        failing()
    assert "differs from the script" in raised.value.__notes__[0]


def test_what_the_script_itself_cannot_do_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the other side's fault, and no test passes by it."""

    def impossible() -> None:
        raise RuntimeError("no certificate can be made for the test")

    monkeypatch.setattr("smtpwire.testing.certificates.certificate", impossible)
    with pytest.raises(RuntimeError, match="no certificate can be made"):
        talk("S: 220 go\n--starttls", b"")

    def failing() -> None:
        with (
            Script("S: 220 go\n--starttls").listen() as server,
            socket.create_connection((server.host, server.port)) as sock,
        ):
            while sock.recv(100):
                pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        failing()
    assert raised.value.__notes__ == ["no certificate can be made for the test"]


def test_a_client_at_a_socket() -> None:
    with sink(tls="starttls") as mx:
        text = "...\nC: EHLO a\nS: 250 ...\nC: STARTTLS\nS: 220 ...\n--starttls\nC: EHLO a\nS: 250 ...\nC: QUIT\nS: 221 ..."
        with Script(text, plays="client").connect(mx.host, mx.port):
            pass
        differs = Script("...\nC: NOOP\nS: 500 no", plays="client")
        with (
            pytest.raises(ScriptDiffers, match=r"- S: 500 no\n\+ S: 250"),
            differs.connect(mx.host, mx.port),
        ):
            pass
        with pytest.raises(ZeroDivisionError), differs.connect(mx.host, mx.port):
            raise ZeroDivisionError


def test_a_client_in_a_loop() -> None:
    async def main() -> None:
        async with sink() as mx, Script(TRANSACTION, plays="client").connect(mx.host, mx.port):
            pass
        assert len(mx.messages) == 1

    asyncio.run(main())
    trio.run(main)


def test_elided_octets_may_come_in_pieces() -> None:
    player = Player(Script("C: … 5 octets\nS: 250 ok"))
    player.receive_data(b"abc")
    assert player.next_step() is Step.READ
    player.receive_data(b"de")
    assert player.next_step() == Send(b"250 ok\r\n")


def test_an_ordinary_server_that_must_write_and_one_that_has_ended() -> None:
    ordinary = _Ordinary(replace(RELAY, limits=replace(RELAY.limits, output=10)))
    ordinary.receive_data(b"NOOP\r\nNOOP\r\nQUIT\r\n")
    assert ordinary.take().count(b"250 2.0.0 OK") == 2
    ordinary.receive_data(b"NOOP\r\n")
    assert ordinary.take() == b""


def test_what_an_operation_leaves_behind() -> None:
    def ended(conn: ClientConnection) -> Operation[None]:
        yield from open_session(conn)
        conn.send(Noop())

    conn = ClientConnection(PLAIN)
    script = "...\nC: EHLO ...\nS: 250 mx\nC: NOOP\nS: 250 ok\n--wait 1\n--end"
    Script(script).run(conn, ended(conn))


def test_all_replies_up_to_one() -> None:
    assert call("S: 220 ...\nC: EHLO a\n...\nC: NOOP\n...\nS: 250 ...\nC: QUIT\n...")


SPLIT: Final = Script("""
    ...
    C: EHLO {name}
    S: 250 hello {name}
    ...
    C: RCPT ...
    S: 450 4.2.0 later
    C: ...
    C: QUIT
    S: 221 bye
    --end
""")
SAID: Final = b"EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nNOOP\r\nRSET\r\nQUIT\r\n"


def test_how_octets_arrive_does_not_matter() -> None:
    def played(chunks: list[bytes]) -> tuple[object, str]:
        player = Player(SPLIT)
        for chunk in [*chunks, b""]:
            player.receive_data(chunk)
            while isinstance(player.next_step(), Send):
                pass
        return player.dialogue, player.difference

    whole = played([SAID])
    assert whole[1] == ""
    for chunks in every_split(SAID):
        assert played(chunks) == whole


def test_values_are_a_mapping() -> None:
    wrong: Any = [("name", "mx")]
    with pytest.raises(TypeError, match="values is a list: pass a Mapping"):
        Script("...", values=wrong)
