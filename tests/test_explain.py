"""Why a server refuses, from what terminals and logs show; and a transcript, judged."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.transcripts.sessions import sessions

from smtpwire import Reply
from smtpwire.command_line import main
from smtpwire.command_line.advice import advice_on
from smtpwire.command_line.dialogue import follow
from smtpwire.command_line.judge import Finding, judge
from smtpwire.command_line.pasted import read_pasted
from smtpwire.command_line.report import as_json
from smtpwire.transcript import Elided, Item, Line, Mark, Octets, read, said, write
from smtpwire.wire.status import BASIC_CODES, ENHANCED_CODES

DIALOGUES = Path(__file__).with_name("dialogues")
HELLO = "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 ENHANCEDSTATUSCODES\n"
MAIL = "C: MAIL FROM:<a@b.example>\nS: 250 2.1.0 ok\nC: RCPT TO:<c@d.example>\nS: 250 2.1.5 ok\n"


def explained(capsys: pytest.CaptureFixture[str], name: str, code: int = 1) -> str:
    assert main(["explain", str(DIALOGUES / name)]) == code
    return capsys.readouterr().out


def pasted(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """What explain says of standard input, as JSON."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["explain", "--json"]) in (0, 1)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def findings(text: str) -> list[Finding]:
    return [finding for found in judge(follow(read(text))).values() for finding in found]


# -- recorded dialogues


def test_swaks_against_postfix(capsys: pytest.CaptureFixture[str]) -> None:
    out = explained(capsys, "swaks-refused.txt")
    assert out.startswith("(swaks)\nS: 220 localhost ESMTP Postfix")
    assert "S: 250-PIPELINING                                 commands in groups" in out
    assert "Refused: RCPT TO:<reject5@example.test>" in out
    assert "this means: bad destination mailbox address (5.1.1, RFC 3463 §3.2)" in out
    assert "again? no" in out
    assert "what to do: The server does not know this recipient." in out
    assert "!!" not in out


def test_a_login_that_fails_at_postfix(capsys: pytest.CaptureFixture[str]) -> None:
    out = explained(capsys, "swaks-auth.txt")
    assert "Refused: the login (AUTH)" in out
    assert "User or password are wrong" in out
    assert "AHVzZXIA" not in out


def test_swaks_under_tls(capsys: pytest.CaptureFixture[str]) -> None:
    out = explained(capsys, "swaks-tls-auth.txt", 0)
    assert "Nothing was refused." in out
    assert "--starttls" in out
    assert "cGVuY2ls" not in out


PASSWORDS = ("pass-WRONG-1", "cGFzcy1XUk9ORy0x", "AHVzZXIAcGFzcy1XUk9ORy0x", "dXNlcg==")
"""Of the dialogues below, in clear text and as AUTH LOGIN and AUTH PLAIN have them."""


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("smtplib.txt", "smtplib, set_debuglevel"),
        ("tshark.txt", "tshark, follow"),
        ("exim-bh.txt", "openssl s_client, or a terminal"),
        ("exim-auth.txt", "Exim, debugging"),
        ("postfix-verbose.txt", "Postfix, debugging"),
    ],
)
def test_why_the_server_rejects_me(
    name: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each says what was refused and what to do, breaks no rule, and shows no password."""
    given = (DIALOGUES / name).read_text()
    assert any(password in given for password in PASSWORDS)
    out = explained(capsys, name)
    assert out.startswith(f"({form}")
    assert "Refused: the login (AUTH)" in out
    assert "User or password are wrong" in out
    if name != "exim-auth.txt":
        assert re.search(r"Refused: (?:RCPT TO|rcpt TO):<reject5@example\.test>", out)
        assert "The server does not know this recipient." in out
    assert "!!" not in out
    assert "(what came before it)" not in out
    assert main(["explain", "--json", str(DIALOGUES / name)]) == 1
    out += capsys.readouterr().out
    assert not any(password in out for password in PASSWORDS)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_file_with_a_byte_order_mark(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Notepad and PowerShell write them."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    text = mark + "S: 220 mx\r\nC: EHLO a.example\r\nS: 550 no\r\n"
    (tmp_path / "log.txt").write_bytes(text.encode(encoding))
    assert main(["explain", str(tmp_path / "log.txt")]) == 1
    assert main(["replay", str(tmp_path / "log.txt")]) == 0
    assert capsys.readouterr().out.count("C: EHLO a.example") == 2


def test_a_log_in_colours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As journalctl shows it on a terminal."""
    lines = _logged(7, "> 220 mx", "< EHLO a.example", "> 550 no")
    text = "\n".join(f"\x1b[0;1;38;5;185m{line}\x1b[0m" for line in lines)
    found = pasted(text, monkeypatch, capsys)
    assert found["form"] == "Postfix, debugging"
    assert [line["line"] for line in found["dialogue"]] == [
        *("S: 220 mx", "C: EHLO a.example", "S: 550 no")
    ]


def test_a_log_of_several_connections(capsys: pytest.CaptureFixture[str]) -> None:
    """One that looks whether the server runs is none of them."""
    out = explained(capsys, "postfix-verbose.txt")
    assert re.findall(r"connection [0-9] of [0-9]", out) == [
        f"connection {number} of 3" for number in (1, 2, 3)
    ]
    assert out.count("S: 220 ") == 3


def _logged(process: int, *said: str) -> list[str]:
    log = "Nov 29 01:26:38 mx postfix/smtpd"
    return [f"{log}[{process}]: {line[0]} client[192.0.2.1]: {line[2:]}" for line in said]


def test_the_processes_of_a_log_are_taken_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = _logged(7, "> 220 mx ESMTP", "< EHLO a.example", "> 250 mx", "< VRFY x", "> 550 no")
    two = _logged(8, "> 220 mx ESMTP", "< EHLO b.example", "> 250 mx", "< QUIT", "> 221 bye")
    three = _logged(9, "> 220 mx ESMTP")
    mixed = [line for each in zip(one, two, strict=True) for line in each]
    found = pasted("\n".join([*mixed, *three]), monkeypatch, capsys)
    assert [each["command"] for each in found["refused"]] == ["VRFY x"]
    assert not [each for line in found["dialogue"] for each in line["findings"]]
    said = [line["line"] for line in found["dialogue"]]
    assert said.index("C: EHLO b.example") > said.index("S: 550 no")
    assert said.count("S: 220 mx ESMTP") == 2


def test_the_processes_of_exims_debugging_are_taken_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        " 7 SMTP>> 220 mx ESMTP\n 8 SMTP>> 220 mx ESMTP\n 7 SMTP<< EHLO a.example\n"
        " 8 SMTP<< QUIT\n 7 SMTP>> 250-mx\n 7         250 HELP\n 8 SMTP>> 221 bye\n"
    )
    found = pasted(text, monkeypatch, capsys)
    assert found["form"] == "Exim, debugging"
    assert [line["line"] for line in found["dialogue"]] == [
        *("S: 220 mx ESMTP", "C: EHLO a.example", "S: 250-mx", "S: 250 HELP", "--drop"),
        *("S: 220 mx ESMTP", "C: QUIT", "S: 221 bye"),
    ]


def test_a_greeting_of_several_lines_is_one_connection(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "220-mx\n220 no UBE\nEHLO a.example\n250 mx\nVRFY x\n550 no\n"
    found = pasted(text, monkeypatch, capsys)
    assert [line["line"] for line in found["dialogue"]][:2] == ["S: 220-mx", "S: 220 no UBE"]
    assert not [each for line in found["dialogue"] for each in line["findings"]]


def test_a_refused_greeting_is_a_connection(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "220 mx\nEHLO a.example\n250 mx\nQUIT\n221 bye\n"
    assert len(pasted(f"{first}220 mx\n", monkeypatch, capsys)["dialogue"]) == 5
    found = pasted(f"{first}220 mx\n421 too busy\n", monkeypatch, capsys)
    assert [each["code"] for each in found["refused"]] == [421]


def test_a_response_behind_a_refused_login_was_typed_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the server says which line it did not understand."""
    text = (
        "220 mx\nEHLO a.example\n250 mx\nAUTH LOGIN\n504 no\naHVudGVyMg==\n"
        '500 5.5.1 Command unrecognized: "aHVudGVyMg=="\nQUIT\nDONE\n221 bye\n'
    )
    found = pasted(text, monkeypatch, capsys)
    assert "aHVudGVyMg" not in json.dumps(found)
    assert [each["code"] for each in found["refused"]] == [504, 500]
    assert found["refused"][1]["text"] == 'Command unrecognized: "<redacted>"'
    assert "DONE" not in json.dumps(found)


@pytest.mark.parametrize("response", ["cGVuY2ls", "*", "="])
def test_a_response_that_was_typed(
    response: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"220 mx\nEHLO a.example\n250 AUTH LOGIN\nAUTH LOGIN\n334 VXNl\n{response}\n535 no\n"
    found = pasted(text, monkeypatch, capsys)
    assert [each["command"] for each in found["refused"]] == ["the login (AUTH)"]
    assert found["dialogue"][-2]["line"] in ("C: <redacted>", "C: *")  # which cancels


def test_what_swaks_shows_in_clear_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --auth-plaintext it shows responses as they were before base64."""
    text = (
        "<-  220 mx\n -> EHLO a.example\n<-  250 AUTH LOGIN\n -> AUTH PLAIN \\0joe\\0hidden one\n"
        "<** 535 no\n -> AUTH LOGIN\n<-  334 Username:\n -> joe\n<-  334 Password:\n"
        " -> hidden two\n<** 535 no\n"
    )
    found = pasted(text, monkeypatch, capsys)
    assert len(found["refused"]) == 2
    assert "hidden" not in json.dumps(found)
    assert "joe" not in json.dumps(found)


def test_exim_debugging_as_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    out = explained(capsys, "exim-server.txt")
    assert "C: RCPT bob" in out
    assert "!! the client: expected RCPT TO:<path> (RFC 5321 §4.1.1.3)" in out
    assert "our server would answer: 501 5.5.4" in out
    assert "Refused: RCPT bob" in out


def test_exim_debugging_as_a_client(capsys: pytest.CaptureFixture[str]) -> None:
    out = explained(capsys, "exim-client.txt", 0)
    assert "C: MAIL FROM:<alice@example.com>" in out
    assert "C: … 305 octets" in out


def test_openssl_s_client(capsys: pytest.CaptureFixture[str]) -> None:
    out = explained(capsys, "s_client.txt", 0)
    assert "(openssl s_client, or a terminal)" in out


# -- other forms


@pytest.mark.parametrize(
    ("text", "form", "command", "code"),
    [
        (
            "Nov 28 10:00:00 mx postfix/smtpd[1]: > unknown[192.0.2.1]: 220 mx ESMTP\n"
            "Nov 28 10:00:00 mx postfix/smtpd[1]: < unknown[192.0.2.1]: EHLO c.example\n"
            "Nov 28 10:00:00 mx postfix/smtpd[1]: > unknown[192.0.2.1]: 250 mx\n"
            "Nov 28 10:00:00 mx postfix/smtpd[1]: < unknown[192.0.2.1]: RCPT TO:<x@y.example>\n"
            "Nov 28 10:00:00 mx postfix/smtpd[1]: > unknown[192.0.2.1]: 503 5.5.1 need MAIL\n",
            "Postfix, debugging",
            "RCPT TO:<x@y.example>",
            503,
        ),
        (
            "Nov 28 10:00:00 c postfix/smtp[1]: < mx[192.0.2.1]:25: 220 mx ESMTP\n"
            "Nov 28 10:00:00 c postfix/smtp[1]: > mx[192.0.2.1]:25: EHLO c.example\n"
            "Nov 28 10:00:00 c postfix/smtp[1]: < mx[192.0.2.1]:25: 550 5.7.1 no\n",
            "Postfix, debugging",
            "EHLO c.example",
            550,
        ),
        (
            "Nov 28 10:00:00 c postfix/smtp[1]: A1: to=<x@y.example>, relay=mx[192.0.2.1]:25,"
            " dsn=5.7.1, status=bounced (host mx[192.0.2.1] said: 554 5.7.1 Service unavailable;"
            " Client host [192.0.2.9] blocked using zen.spamhaus.org (in reply to RCPT TO command))",
            "Postfix's log, or a bounce",
            "RCPT TO",
            554,
        ),
        (
            "<x@y.example>: host mx[192.0.2.1] said: 552 5.3.4 Message size exceeds\n"
            "    fixed limit (in reply to end of DATA command)\n",
            "Postfix's log, or a bounce",
            "the message, after its last line",
            552,
        ),
        (
            "Nov 28 10:00:00 c postfix/smtpd[1]: NOQUEUE: reject: RCPT from c[192.0.2.9]: 554 5.7.1"
            " <x@y.example>: Relay access denied; from=<a@b.example> to=<x@y.example> proto=ESMTP",
            "Postfix's log, or a bounce",
            "RCPT",
            554,
        ),
        (
            "2026-11-28 10:00:00 1xX ** x@y.example R=dns T=smtp: SMTP error from remote mail server"
            " after RCPT TO:<x@y.example>: host mx.y.example [192.0.2.1]: 550 5.1.1 User unknown",
            "Exim's log",
            "RCPT TO:<x@y.example>",
            550,
        ),
        (
            "===================\nFollow: tcp,ascii\nFilter: tcp.stream eq 0\n"
            "Node 0: 192.0.2.9:4000\nNode 1: 192.0.2.1:25\n\t8\n220 mx\n\n13\nEHLO c.e.x\n\n"
            "\t17\n550 5.7.1 never\n\n===================\n",
            "tshark, follow",
            "EHLO c.e.x",
            550,
        ),
        (
            "reply: b'220 mx\\r\\n'\nsend: 'ehlo c.example\\r\\n'\n"
            "reply: b'250-mx\\r\\n'\nreply: b'250 AUTH PLAIN\\r\\n'\n"
            "reply: retcode (250); Msg: b'mx'\nsend: 'mail FROM:<a@b.example>\\r\\n'\n"
            "reply: b'530 5.7.0 Must issue a STARTTLS command first\\r\\n'\nsend: 'x\n",
            "smtplib, set_debuglevel",
            "mail FROM:<a@b.example>",
            530,
        ),
        (
            "Connected to mx.\nEscape character is '^]'.\n220 mx ESMTP\nHELO c\n250 mx\n"
            "MAIL FROM:<a@b.example>\n250 ok\nRCPT TO:<c@d.example>\n250 ok\nDATA\n354 go\n"
            "Subject: 550 x\n\n.\n550 5.7.26 DMARC: unauthenticated mail\n",
            "openssl s_client, or a terminal",
            "the message, after its last line",
            550,
        ),
        (
            "1 S: 220 mx\n1 C: EHLO c\n1 S: 550 5.7.1 no\n",
            "transcript",
            "EHLO c",
            550,
        ),
        (
            "Diagnostic-Code: smtp; 450 4.2.0 Greylisted, see you later",
            "replies",
            "(what came before it)",
            450,
        ),
    ],
)
def test_what_programs_show(
    text: str,
    form: str,
    command: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = pasted(text, monkeypatch, capsys)
    assert found["form"] == form
    assert [(each["command"], each["code"]) for each in found["refused"]] == [(command, code)]
    assert found["refused"][0]["advice"]


def test_what_holds_no_dialogue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"hello\n")))
    assert main(["explain"]) == 65
    assert "no reply of a server is found" in capsys.readouterr().err
    assert main(["explain", "/no/such/file"]) == 69


# -- advice


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(450, "Greylisted", "4.2.0"), "Greylisting"),
        (Reply(554, "blocked using zen.spamhaus.org", "5.7.1"), "block list"),
        (Reply(554, "Relay access denied", "5.7.1"), "does not take mail for that domain"),
        (Reply(550, "cannot find your reverse hostname", "5.7.1"), "PTR record"),
        (Reply(504, "Helo command rejected: need fully-qualified hostname", "5.5.2"), "full name"),
        (Reply(530, "Must issue a STARTTLS command first", "5.7.0"), "STARTTLS after EHLO"),
        (Reply(530, "Authentication required", "5.7.0"), "login first"),
        (Reply(535, "nope", "5.7.8"), "User or password are wrong"),
        (Reply(550, "SPF check failed", "5.7.23"), "SPF record"),
        (Reply(550, "\u56e0\u4e3aspf\u5931\u8d25"), "SPF record"),
        (Reply(550, "DKIM says no"), "Sign with the key"),
        (Reply(550, "x", "5.7.25"), "PTR record"),
        (Reply(452, "x", "4.2.2"), "mailbox is full"),
        (Reply(450, "Sender address rejected: Domain not found", "4.1.8"), "does not exist in DNS"),
        (Reply(521, "bare <LF> received", "5.5.2"), "CRLF"),
        (Reply(503, "improper command pipelining", "5.5.0"), "RFC 2920"),
        (Reply(550, "no"), "Refused for good"),
        (Reply(450, "no", "4.9.9"), "try again later"),
        (Reply(459, "no"), "try again later"),
        (Reply(559, "no"), "refused again"),
        (Reply(250, "ok"), ""),
    ],
)
def test_what_to_do(reply: Reply, words: str) -> None:
    assert words in advice_on(reply)
    assert bool(advice_on(reply)) is bool(words)


def test_every_refusal_has_an_advice() -> None:
    for code in (code for code in BASIC_CODES if code >= 400):
        assert advice_on(Reply(code, "x"))
    for subject, detail in ENHANCED_CODES:
        assert advice_on(Reply(550, "x", f"5.{subject}.{detail}"))


# -- the rules


@pytest.mark.parametrize(
    ("text", "who", "words", "source"),
    [
        (HELLO + "C: RCPT TO:<c@d.example>\nS: 250 ok\n", "client", "bad sequence", "§4.1.4"),
        (HELLO + "C: MAIL FROM: a@b\nS: 250 2.1.0 ok\n", "client", "", "§4.1.1.2"),
        (HELLO + "C| NOOP\\nNOOP\\r\\n\nS: 250 2.0.0 ok\n", "client", "LF without CR", "§2.3.8"),
        (HELLO + "C: NOOP\nS: 250 4.0.0 ok\n", "server", "another class", "RFC 2034 §4"),
        (HELLO + "C: NOOP\nS: 250 ok\n", "server", "this reply has none", "RFC 2034 §4"),
        (HELLO + "C: NOOP\nS: hello\n", "server", "no reply", "RFC 5321 §4.2"),
        (
            HELLO + "C: NOOP\nS: 250-2.0.0 a\nS: 251 2.0.0 b\n",
            "server",
            "different codes",
            "§4.2.1",
        ),
        (HELLO + "S: 250 2.0.0 ok\n", "server", "nobody asked for", "§4.3.1"),
        (HELLO + MAIL + "C: DATA\nS: 250 2.0.0 go\n", "server", "cannot have", "§4.3.2"),
        ("S: 220 mx\nC: EHLO\nS: 501 no\n", "client", "", "§4.1.1.1"),
        ("S: 220 " + "x" * 600 + "\n", "server", "over 512 octets", "§4.5.3.1.5"),
    ],
)
def test_rules_that_were_broken(text: str, who: str, words: str, source: str) -> None:
    found = findings(text)
    assert any(
        each.who == who and words in each.text and each.source.endswith(source) for each in found
    ), found


@pytest.mark.parametrize(
    "text",
    [
        HELLO
        + MAIL
        + "C: DATA\nS: 354 go\nC: Hello\nC: .\nS: 250 2.0.0 ok\nC: QUIT\nS: 221 2.0.0 x\n",
        HELLO + MAIL + "C: DATA\nS: 354 go\nC: … 5,000 octets\nC: .\nS: 250 2.0.0 ok\n",
        HELLO + MAIL + "C: DATA\nS: 354 go\nS: 250 2.0.0 taken\nC: RSET\nS: 250 2.0.0 ok\n",
        "C: NOOP\nS: 250 ok\n",
        "S: 554 no\n",
        "S: 220 mx\nC: EHLO c\nS: 250-mx\nS: 250 AUTH LOGIN\nC: AUTH LOGIN\nS: 334 VXNlcg==\n"
        "C: <redacted>\nS: 235 ok\nC: MAIL FROM:<>\nS: 250 ok\n",
        "S: 220 mx\nC: EHLO c\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n--starttls\n"
        "C: EHLO c\nS: 250 mx\nC: QUIT\nS: 221 bye\n",
        "S: 220 mx\nC: EHLO c\nS: 250-mx\nS: 250-PIPELINING\nS: 250 CHUNKING\nC: MAIL FROM:<>\n"
        "C: RCPT TO:<c@d.example>\nC: BDAT 5\nC| abc\nC:\nC: BDAT 3 LAST\nC| xyz\nS: 250 ok\n"
        "S: 250 ok\nS: 250 ok\nS: 250 ok\nC: QUIT\nS: 221 bye\n",
        "S: 220 mx\nC: LHLO c\nS: 250 mx\nC: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<c@d.example>\n"
        "S: 250 ok\nC: RCPT TO:<d@d.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\n"
        "S: 250 ok\nS: 452 4.2.2 full\nC: QUIT\nS: 221 bye\n",
    ],
)
def test_where_no_rule_was_broken(text: str) -> None:
    assert findings(text) == []


# -- replay


@pytest.mark.parametrize("number", range(0, 330, 33))
def test_replay_of_recorded_sessions(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = sessions()[number]
    items: list[Item] = [item for chunk in session.chunks for item in said(chunk.side, chunk.data)]
    (tmp_path / "session.txt").write_text(write(items))
    code = main(["replay", str(tmp_path / "session.txt"), "--json"])
    found = json.loads(capsys.readouterr().out)
    broken = [each for line in found["dialogue"] for each in line["findings"]]
    assert (code == 1) is bool(broken)
    assert main(["replay", str(tmp_path / "session.txt"), "--role", "server"]) in (0, 1)
    out = capsys.readouterr().out
    assert out.startswith("S: 220")
    assert "pencil" not in out
    for each in broken:
        assert re.match(r"RFC [0-9]+ §", each["source"]) or "would not say" in each["rule"]


def test_replay_of_what_is_no_transcript_shows_nothing_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pasted.txt"
    path.write_text("S: 334 UGFzc3dvcmQ6\naHVudGVyMg==\n")
    assert main(["replay", str(path)]) == 65
    err = capsys.readouterr().err
    assert "line 2 is none of a transcript's" in err
    assert "aHVudGVyMg" not in err


def test_replay_of_one_connection_among_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "serve.txt"
    path.write_text("# listening\n1 S: 220 a\n2 S: 220 b\n2 C: QUIT\n2 S: 221 bye\n")
    assert main(["replay", str(path)]) == 64
    assert "holds these connections: 1, 2; choose by --session N" in capsys.readouterr().err
    assert main(["replay", str(path), "--session", "2", "--role", "client"]) == 0
    assert "C: QUIT" in capsys.readouterr().out
    path.write_text("C: EHLO x\n")
    assert main(["replay", str(path), "--session", "2"]) == 64
    assert "have no numbers in front: leave --session out" in capsys.readouterr().err
    path.write_text("EHLO x\n")
    assert main(["replay", str(path)]) == 65
    assert "is no transcript: line 1" in capsys.readouterr().err


def test_no_colours_unless_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "x.txt"
    path.write_text(HELLO + "C: XFOO\nS: 500 5.5.1 what\n# over\n")
    main(["replay", str(path)])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    main(["replay", str(path)])
    assert "\x1b[31mS: 500" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    main(["replay", str(path)])
    assert "\x1b" not in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"smtpwire [0-9.]+\n", capsys.readouterr().out)


_LINES = [
    *("EHLO a", "LHLO a", "MAIL FROM:<a@b.c>", "RCPT TO:<a@b.c>", "DATA", ".", "BDAT 5 LAST", ""),
    *("STARTTLS", "AUTH PLAIN", "AUTH", "*", "QUIT", "RSET", "XFOO", "ATRN", "BURL imap://x LAST"),
]
_REPLIES = [
    *("220 x", "250 x", "250-x", "250 AUTH PLAIN", "250-STARTTLS", "250 CHUNKING", "354 x", "2x0"),
    *("334 x", "235 x", "421 x", "550 5.1.1 x", "250 4.0.0 x", "", "999 x", "221 bye", "353 x"),
]
_item: st.SearchStrategy[Item] = st.one_of(
    st.builds(Line, st.just("S"), st.sampled_from(_REPLIES).map(str.encode)),
    st.builds(Line, st.just("C"), st.sampled_from(_LINES).map(str.encode)),
    st.builds(Octets, st.sampled_from("CS"), st.binary(max_size=5)),
    st.builds(Elided, st.sampled_from("CS"), st.integers(0, 9)),
    st.just(Mark("starttls")),
)


@given(st.lists(_item, max_size=12))
@example([Octets("C", b"\r\n"), Line("C", b"EHLO a")])
@example([Octets("C", b"\r"), Line("C", b"\nEHLO a")])
def test_no_dialogue_is_too_odd(items: list[Item]) -> None:
    entries = follow(items)
    found = json.loads(as_json(entries, judge(entries)))
    assert len(found["dialogue"]) == len(entries)


@given(st.lists(st.sampled_from([*_LINES, *_REPLIES, " -> x", "<** 550 x", "SMTP>> x", "\t5"])))
def test_whatever_is_pasted(lines: list[str]) -> None:
    entries = follow(read_pasted("\n".join(lines)).items)
    judge(entries)


@pytest.mark.parametrize(
    "text",
    [
        "postfix-" * 20000,
        "SMTP error from remote mail server after " * 3000,
        "postfix/smtp[1]: said: 550 " + " " * 100_000 + "x",
        "postfix/smtp[1]: x\n" + " a\n" * 300_000,
        "354 x\n" * 60_000,
    ],
    ids=["postfix", "exim", "blanks", "folded", "354"],
)
def test_the_time_does_not_grow_with_the_square_of_a_paste(text: str) -> None:
    read_pasted(text)


def test_octets_that_have_line_ends_are_lines() -> None:
    items: list[Item] = [Octets("C", b"NOOP\r\nEH"), Octets("C", b"LO"), Line("C", b" a")]
    items += [Octets("S", b"250 x\r\n2"), Octets("C", b"")]
    assert [entry.item for entry in follow(items)] == [
        Line("C", b"NOOP"),
        Line("C", b"EHLO a"),
        Line("S", b"250 x"),
        Octets("S", b"2"),
    ]


def test_a_line_in_very_many_pieces() -> None:
    items: list[Item] = [Octets("C", b"ab")] * 200_000
    (entry,) = follow(items)
    assert isinstance(entry.item, Octets)
    assert len(entry.item.octets) == 400_000
    (entry, other) = follow([*items, Line("C", b"c"), Octets("S", b"2")])
    assert entry.item == Line("C", b"ab" * 200_000 + b"c")
    assert other.item == Octets("S", b"2")


@pytest.mark.parametrize("text", [r"'\ud800'", "''" + "-" * 20_000 + "1", "'" + "\0'"])
def test_what_smtplib_never_shows(text: str) -> None:
    assert read_pasted(f"send: {text}\nreply: b'550 no'").form == "smtplib, set_debuglevel"
