"""What may be shown of a line."""

from typing import Final

import pytest

from smtpwire.engine.redaction import REDACTED, looks_like_auth, redacted, without_secrets


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
