"""``check`` against servers of this process: what it finds, says and warns of."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from smtpwire import ServerConfig
from smtpwire.command_line import check, main
from smtpwire.testing import Script, ScriptDiffers, certificate, sink


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_QUIET", 0.1)


@pytest.fixture
def trusted(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(certificate().trusted_pem)
    return str(path)


def checked(port: int, *options: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The report as JSON; the exit code says whether there are warnings."""
    code = main(["check", f"localhost:{port}", "--json", *options])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == bool(found["warnings"])
    return found


def test_a_good_server(trusted: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = ServerConfig.submission("mx.example")
    with sink(config=config) as mx:
        found = checked(mx.port, "--cafile", trusted, capsys=capsys)
    assert mx.messages == []
    assert found["warnings"] == []
    assert found["greeting"] == "220 mx.example ESMTP"
    assert found["hello"] == "mx.example"
    assert "STARTTLS" in found["extensions"]
    assert found["mechanisms"] == []
    assert found["mechanisms_under_tls"] == ["PLAIN", "LOGIN"]
    assert found["limits"]["SIZE"] == "52428800"
    assert found["tls"]["how"] == "STARTTLS"
    assert found["tls"]["verified"] is True
    assert "localhost" in found["tls"]["names"]
    assert found["tls"]["expires"]
    assert found["clients"]["submission client"].startswith("would log in by PLAIN under TLSv1.3")
    assert found["clients"]["relay"] == "would send under TLSv1.3 by BDAT, in one flight"


def test_a_certificate_that_does_not_verify(capsys: pytest.CaptureFixture[str]) -> None:
    with sink(tls="starttls", login=("joe", "pencil")) as mx:
        found = checked(mx.port, capsys=capsys)
    assert found["tls"]["verified"] is False
    assert found["tls"]["version"] == "TLSv1.3"
    assert len(found["tls"]["sha256"]) == 64
    assert any("does not verify for localhost" in text for text in found["warnings"])
    assert any("PLAIN, LOGIN without TLS" in text for text in found["warnings"])
    assert "no password is sent without" in found["clients"]["submission client"]


def test_tls_from_the_first_octet(trusted: str, capsys: pytest.CaptureFixture[str]) -> None:
    with sink(tls="implicit") as mx:
        found = checked(mx.port, "--implicit", "--cafile", trusted, capsys=capsys)
    assert found["tls"]["how"] == "implicit"
    assert found["warnings"] == []
    assert found["extensions"] == []
    assert "PIPELINING" in found["extensions_under_tls"]


def test_tls_from_the_first_octet_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with sink() as mx:
        found = checked(mx.port, "--implicit", capsys=capsys)
    assert found["warnings"] == [
        "TLS does not come about: WRONG_VERSION_NUMBER: the server does not begin with TLS"
    ]


def test_the_text(trusted: str, capsys: pytest.CaptureFixture[str]) -> None:
    with sink(tls="starttls") as mx:
        assert main(["check", f"localhost:{mx.port}", "--cafile", trusted]) == 0
    out = capsys.readouterr().out
    assert "PIPELINING           commands in groups, without waiting (RFC 2920)" in out
    assert "STARTTLS             TLS on this connection (RFC 3207)  [without TLS]" in out
    assert "certificate for localhost: verified" in out
    assert "\x1b" not in out
    with sink(lmtp=True) as mx:
        assert main(["check", f"127.0.0.1:{mx.port}", "--lmtp"]) == 0
    out = capsys.readouterr().out
    assert "not offered" in out
    assert "LMTP client       would send in clear text" in out


ODD = """
    S: 220 mx
    C: EHLO ...
    S: 250-mx
    S: 250 HELP
"""


def test_what_is_odd(capsys: pytest.CaptureFixture[str]) -> None:
    # Each connection is played the same: what is asked comes in this order, or not at all.
    text = ODD + "C: XSMTPWIRE\nS: 250 ok\nC: NOOP\nS: 251 ok\nC: DATA\nS: 354 go\n--end"
    lines = (
        ODD + "C| NOOP\\nNOOP\\r\\n\nS: 250 a\nS: 250 b\nC| NOOP\\rNOOP\\r\\n\nS: 500 no\nC: QUIT"
    )
    assert _warnings(text, lines, capsys) == [
        "an unknown command is answered 250 ok (RFC 5321 §4.2.4: 500)",
        "NOOP is answered 251 ok (RFC 5321 §4.1.1.9: 250)",
        "DATA without MAIL and RCPT is accepted (RFC 5321 §4.1.1.4: 503)",
        "LF alone ends a command: prone to SMTP smuggling, if it does so in messages, too"
        " (RFC 5321 §2.3.8)",
        "STARTTLS is not offered: everything goes in clear text (RFC 3207)",
    ]


def _warnings(commands: str, lines: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Three servers for the three connections of a check, at one port."""
    scripts = iter((ODD, commands, lines))
    server = Script(ODD).listen(timeout=5)
    play = server.play

    def each(sock: Any) -> None:
        server._script = Script(next(scripts))
        play(sock)

    server.play = each  # type: ignore[method-assign] # a script a connection
    with server:
        found: list[str] = checked(server.port, capsys=capsys)["warnings"]
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("S: 554 5.7.1 blocked using zen.spamhaus.org", "stands on a block list"),
        ("S: 250 mx\nC: EHLO ...\nS: 250 mx\n--end", "the greeting is 250 and not 220"),
        ("S: 220 mx\nC: EHLO ...\nS: 550 no", "EHLO is refused: 550 no"),
        ("S: 220 mx\nC: EHLO ...\nS: 500 what", "EHLO is refused: 500 what. If it speaks LMTP, pa"),
        ("S| 220 mx\\n\nC: EHLO ...\nS: 250 mx\n...", "lines with LF alone"),
        (
            "S: 220 mx\nC: EHLO ...\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 no",
            "TLS does not come about: STARTTLS is refused: 454 no",
        ),
        (
            "S: 220 mx\nC: EHLO ...\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nS: 250 x",
            "plaintext behind its 220",
        ),
    ],
)
def test_servers_that_refuse(text: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    # The probes' connections do not keep to the script: what is said of the first one counts.
    with suppress(ScriptDiffers), Script(text).listen(timeout=1) as server:
        found = checked(server.port, capsys=capsys)
    assert any(words in warning for warning in found["warnings"]), found["warnings"]


@pytest.mark.parametrize(
    ("server", "code", "words"),
    [
        ("mx example", 64, "is no HOST:PORT"),
        ("mx:99999", 64, "is no HOST:PORT"),
        ("[::1]:1", 69, "cannot connect to ::1:1"),
    ],
)
def test_what_cannot_be_checked(
    server: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", server]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e10", "soon"])
def test_a_time_out_that_is_none(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "127.0.0.1:1", "--timeout", seconds]) == 64
    assert "pass seconds, more than 0 and at most 1e9" in capsys.readouterr().err


def test_a_server_that_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Script("--wait 5").listen() as server:
        assert main(["check", f"127.0.0.1:{server.port}", "--timeout", "0.05"]) == 69
        server._stop.set()
    err = capsys.readouterr().err
    assert "says nothing: " in err
    assert err.endswith("; if it begins with TLS, pass --implicit\n")


def test_a_server_that_speaks_no_lmtp(capsys: pytest.CaptureFixture[str]) -> None:
    with sink() as mx:
        found = checked(mx.port, "--lmtp", capsys=capsys)
    (warning,) = found["warnings"]
    assert warning.startswith("LHLO is refused: 500 5.5.1 ")
    assert warning.endswith(". If it speaks SMTP and no LMTP, leave --lmtp out.")


def test_progress_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Script("--wait 1.5\nS: 554 no").listen() as server:
        assert main(["check", f"127.0.0.1:{server.port}"]) == 1
    err = capsys.readouterr().err
    assert "checking 127.0.0.1" in err
    assert err.endswith("\r\x1b[K")


@pytest.mark.parametrize(
    "said", ["SSH-2.0-OpenSSH_9.2", "+OK ready", "* OK ready", "HTTP/1.1 400 no"]
)
def test_a_server_of_another_protocol(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not waited for until it closes: no second line is to come."""
    with Script(f"S: {said}\n--wait 30").listen() as server:
        assert main(["check", f"127.0.0.1:{server.port}", "--timeout", "20"]) == 69
        server._stop.set()
    assert f"this is no reply: {said}" in capsys.readouterr().err


def test_a_server_that_says_it_octet_by_octet(capsys: pytest.CaptureFixture[str]) -> None:
    text = "S| 2\n--wait 0.02\n" * 200
    with suppress(ScriptDiffers), Script(text).listen() as server:
        assert main(["check", f"127.0.0.1:{server.port}", "--timeout", "0.2"]) == 69
        server._stop.set()
    assert "says nothing" in capsys.readouterr().err


def test_a_server_that_does_not_stop_answering() -> None:
    with Script("S: 250 ok\n" * 100).listen() as server:
        line = check._Line(server.host, server.port, 5)
        assert len(line.more_replies()) == 9
        line.close()
