"""What may be shown of a line."""

from collections.abc import Iterator
from typing import Final

import pytest
from tests.engine.transcript import Session, wait

from smtpwire.engine.redaction import REDACTED, looks_like_auth, redacted, without_secrets
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import Extension, flag, no_parameter
from smtpwire.wire.command import VERBS, Verb
from smtpwire.wire.value import replace


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"AUTH PLAIN", b"AUTH PLAIN"),
        (b"AUTH PLAIN c2VjcmV0", b"AUTH PLAIN " + REDACTED),
        (b"auth  scram-sha-256  c2VjcmV0", b"AUTH scram-sha-256 " + REDACTED),
        (b"AUTH", b"AUTH " + REDACTED),
        (b"AUTH GSSAPI c2VjcmV0", b"AUTH " + REDACTED),
        (b"AUTHENTICATE c2VjcmV0", b"AUTH " + REDACTED),
        (b" \tAUTH PLAIN c2VjcmV0", b"AUTH " + REDACTED),
        (b"NOOP\rAUTH PLAIN c2VjcmV0", b"AUTH " + REDACTED),
    ],
)
def test_of_auth_only_the_mechanism(line: bytes, shown: bytes) -> None:
    assert looks_like_auth(line)
    assert redacted(line) == shown


@pytest.mark.parametrize("line", [b"", b"NOOP", b"MAIL FROM:<auth@b.example> AUTH=<>", b"AUT"])
def test_other_lines_do_not_look_like_it(line: bytes) -> None:
    assert not looks_like_auth(line)


OPEN: Final = frozenset({b"MAIL", b"NOOP", b"QUIT"})


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"MAIL FROM:<a@b.example> AUTH=<>", b"MAIL FROM:<a@b.example> AUTH=<>"),
        ("MAIL FROM:<é@b.example>".encode(), "MAIL FROM:<é@b.example>".encode()),
        (b"noop text", b"noop text"),
        (b"QUIT", b"QUIT"),
        (b"XYZZY", b"XYZZY"),
        (b"Helo c.example", b"Helo <redacted>"),
        (b"AUHT PLAIN c2VjcmV0", b"AUHT <redacted>"),
        (b"BURL imap://key", b"BURL <redacted>"),
        (b"c2VjcmV0", REDACTED),
        (b"dXNlcnBhc3N3b3Jk", REDACTED),
        (b"c2VjcmV0IHdvcmQ=", REDACTED),
        (b"QUIT AUTH PLAIN c2VjcmV0", b"QUIT <redacted>"),
        (b"NOOP \x08\x08\x08\x08\x08AUTH PLAIN c2VjcmV0", b"NOOP <redacted>"),
        (b"NOOP \xff\xfb\x01c2VjcmV0", b"NOOP <redacted>"),
        (b"", REDACTED),
    ],
)
def test_of_what_was_not_understood_only_the_verb(line: bytes, shown: bytes) -> None:
    assert without_secrets(line, OPEN) == shown


def test_a_private_verb_can_have_a_secret() -> None:
    config = ServerConfig.relay("mx.example")
    verbs = [Verb("XKEY", str, str, secret=True), Verb("XOPEN", str, str)]
    mine = Extension("XMINE", "private", "keys", flag, no_parameter, verbs=tuple(verbs))
    offering = replace(config, offer=(*config.offer, mine))
    knowing = replace(config, registry=config.registry + (mine,))  # noqa: RUF005
    for each in (offering, knowing):
        assert without_secrets(b"XKEY c2VjcmV0", each.open_verbs) == b"XKEY " + REDACTED
        assert without_secrets(b"xopen door", each.open_verbs) == b"xopen door"
    made = Session(ServerConnection(offering), wait)
    made.conn.trace = lambda direction, octets: shown.append(octets)
    shown: list[bytes] = []
    made.feed(b"XKEY c2VjcmV0\r\n")
    assert b"c2VjcmV0" not in b"".join(shown)
    assert "c2VjcmV0" not in repr(made.events)


def test_of_a_session_only_harmless_verbs_are_open() -> None:
    verbs = ServerConfig.relay("mx.example").open_verbs
    assert verbs & {b"AUTH", b"BURL", b""} == set()
    assert verbs >= (VERBS - {b"AUTH"}) | {b"ETRN", b"XCLIENT"}


KEY: Final = b"AGFsaWNlAHNlY3JldA=="


def slips(line: bytes) -> Iterator[bytes]:
    """An octet missing, twisted, put in or another, anywhere in the first twelve."""
    for at in range(12):
        before, behind = line[:at], line[at + 1 :]
        yield before + behind
        yield before + behind[:1] + line[at : at + 1] + behind[1:]
        for octet in range(256):
            yield before + bytes([octet]) + line[at:]
            yield before + bytes([octet]) + behind


@pytest.mark.parametrize("start", [b"AUTH PLAIN ", b"AUTH LOGIN ", b"BURL imap://x;urlauth="])
def test_no_single_slip_shows_a_secret(start: bytes) -> None:
    for line in slips(start + KEY):
        assert KEY not in without_secrets(line, OPEN), line


@pytest.mark.parametrize("verb", sorted(ServerConfig.relay("mx.example").open_verbs))
@pytest.mark.parametrize("between", [b"", b" ", b"  ", b"\t", b"\x08", b"; "])
def test_no_verb_before_it_shows_a_secret(verb: bytes, between: bytes) -> None:
    verbs = ServerConfig.relay("mx.example").open_verbs
    for start in (b"AUTH PLAIN ", b"BURL imap://x;urlauth="):
        assert KEY not in without_secrets(verb + between + start + KEY, verbs)
