"""What may be shown of a line."""

import pytest

from smtpwire.engine.redaction import REDACTED, looks_like_auth, redacted


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
