"""The messages of SASL against a slow reference, written straight from their ABNF."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sasl.conversation import client_config, server_config
from tests.wire.abnf import (
    ALPHA,
    DIGIT,
    DQUOTE,
    Rule,
    either,
    literal,
    matches,
    octets,
    one_of,
    optional,
    repeated,
    sequence,
)

from smtpwire.sasl import (
    BadChallengeError,
    Failed,
    Password,
    SaslError,
    client_mechanism,
    server_mechanism,
)

NONCE = "n0nce"

# RFC 5802 §7; of UTF-8 one letter stands for all.
upper, lower = octets((0x41, 0x5A)), octets((0x61, 0x7A))
attribute = either(upper, lower)  # ALPHA
safe = either(octets((0x01, 0x2B), (0x2D, 0x3C), (0x3E, 0x7F)), one_of("é"))
value = repeated(either(safe, literal("=")), 1)
printable = octets((0x21, 0x2B), (0x2D, 0x7E))
saslname = repeated(either(safe, sequence(literal("="), one_of("2"), one_of("C")), sequence(literal("="), one_of("3"), one_of("D"))), 1)  # fmt: skip
nonce = sequence(one_of("r"), literal("="), repeated(printable, 1))
username = sequence(one_of("n"), literal("="), saslname)
authzid = sequence(one_of("a"), literal("="), saslname)
flag = one_of("ny")  # p= needs a channel binding, and fails without one
gs2_header = sequence(flag, literal(","), optional(authzid), literal(","))
# §5.1: m= must fail; other unknown attributes are ignored.
extension = sequence(either(octets((0x41, 0x5A), (0x61, 0x6C), (0x6E, 0x7A))), literal("="), value)
extensions = repeated(sequence(literal(","), extension))
client_first = sequence(gs2_header, username, literal(","), nonce, extensions)
base64_char = either(ALPHA, DIGIT, one_of("/+"))
base64 = sequence(
    repeated(repeated(base64_char, 4, 4)),
    optional(
        either(
            sequence(repeated(base64_char, 3, 3), literal("=")),
            sequence(repeated(base64_char, 2, 2), literal("==")),
        )
    ),
)
salt = sequence(one_of("s"), literal("="), base64)
iterations = sequence(one_of("i"), literal("="), octets((0x31, 0x39)), repeated(DIGIT, 0, 9))
server_first = sequence(nonce, literal(","), salt, literal(","), iterations, extensions)

# RFC 7628 §3.1, without a channel binding; RFC 6750 §2.1 for what a token is.
key = repeated(ALPHA, 1)
pair_value = repeated(either(octets((0x21, 0x7E)), one_of(" \t\r\n")))
pair = sequence(key, literal("="), pair_value, literal("\x01"))
oauth_safe = either(octets((0x20, 0x2B), (0x2D, 0x3C), (0x3E, 0x7E)), one_of("é"))
oauth_name = repeated(either(oauth_safe, sequence(literal("="), one_of("2"), one_of("C")), sequence(literal("="), one_of("3"), one_of("D"))), 1)  # fmt: skip
oauth_header = sequence(
    flag, literal(","), optional(sequence(one_of("a"), literal("="), oauth_name)), literal(",")
)
oauth_response = sequence(oauth_header, literal("\x01"), repeated(pair), literal("\x01"))

# RFC 2831 §7.1, RFC 2616 §2.1's lists with white space: 1#( token "=" ( token / quoted-string ) ).
lws = repeated(one_of(" \t\r\n"))
token = repeated(octets(0x21, (0x23, 0x27), (0x2A, 0x2B), (0x2D, 0x2E), (0x30, 0x39), (0x41, 0x5A), (0x5E, 0x7A), 0x7C, 0x7E), 1)  # fmt: skip
# A value is read more freely: some write digest-uri and others without quotes.
free_value = repeated(octets(0x21, (0x23, 0x2B), (0x2D, 0x7E)), 1)
quoted = sequence(
    DQUOTE,
    repeated(either(octets((0x00, 0x21), (0x23, 0x5B), (0x5D, 0xFF)), sequence(literal("\\"), octets((0, 0xFF))))),
    DQUOTE,
)  # fmt: skip
directive = sequence(token, lws, literal("="), lws, either(quoted, free_value), lws)
separators = repeated(one_of(" \t\r\n,"))
some = sequence(
    separators,
    directive,
    repeated(sequence(literal(","), separators, directive)),
    optional(sequence(literal(","), separators)),
)
directives = either(separators, some)  # which ones there must be is looked at later


def server_takes(mechanism: str) -> Callable[[str], bool]:
    """Whether a server finds no fault in the form of a first message."""

    def takes(text: str) -> bool:
        step = server_mechanism(mechanism, server_config()).start(text.encode())
        return not (isinstance(step, Failed) and step.reason.startswith("malformed"))

    return takes


def scram_client_takes(text: str) -> bool:
    """Whether a client finds no fault in the form of server-first."""
    client = client_mechanism("SCRAM-SHA-256", Password("u", "p"), client_config(nonce=NONCE))
    client.initial()
    try:
        client.step(text.encode())
    except BadChallengeError:
        return False
    except SaslError:  # a foreign nonce, too few iterations
        pass
    return True


def digest_client_takes(text: str) -> bool:
    """Whether a client can read a challenge as a list of directives."""
    client = client_mechanism("DIGEST-MD5", Password("u", "p"), client_config(nonce=NONCE))
    try:
        client.step(text.encode("latin-1"))
    except BadChallengeError as error:
        return "malformed" not in str(error)
    return True


@pytest.mark.parametrize(
    ("takes", "rule", "before", "alphabet", "most", "behind"),
    [
        (server_takes("SCRAM-SHA-256"), client_first, "", ["n", ",", "=", "r", "y"], 3, ",n=u,r=x"),
        (server_takes("SCRAM-SHA-256"), client_first, "n,,n=u", ["=", "2C", "3D", "2c", ",", "a"], 4, ",r=x"),
        (server_takes("SCRAM-SHA-256"), client_first, "n,a=u", ["=2C", "=", ",", "é", "3D"], 4, ",n=u,r=x"),
        (server_takes("SCRAM-SHA-256"), client_first, "n,,n=u,r=x", [",", "=", "m", "z", "9"], 5, ""),
        (server_takes("OAUTHBEARER"), oauth_response, "n,,\x01", ["a", "=", "\x01", " ", "1"], 5, "\x01"),
        (server_takes("OAUTHBEARER"), oauth_response, "", ["n", ",", "a=", "=2C", "b", "="], 4, ",\x01\x01"),
        (scram_client_takes, server_first, f"r={NONCE}x,s=QUI=,i=", ["1", "0", ",", "z=", "m="], 4, ""),
        (scram_client_takes, server_first, f"r={NONCE}", [",", "x", "r="], 4, ",s=QUI=,i=4096"),
        (digest_client_takes, directives, "", ["a", "=", ",", '"', "\\", " "], 5, ""),
        (digest_client_takes, directives, "a=", ['"', "\\", "x", ",", "=", "\x00"], 5, ""),
    ],
)  # fmt: skip
def test_every_short_message(
    takes: Callable[[str], bool],
    rule: Rule,
    before: str,
    alphabet: list[str],
    most: int,
    behind: str,
) -> None:
    for length in range(most + 1):
        for letters in product(alphabet, repeat=length):
            text = before + "".join(letters) + behind
            assert takes(text) == matches(rule, text), text


@given(
    st.lists(st.sampled_from([*"nyar,=mz", "=2C", "=3D", "é", "n=", "r=", "a=", "x"])).map("".join)
)
def test_any_client_first(text: str) -> None:
    assert server_takes("SCRAM-SHA-256")(text) == matches(client_first, text)


@given(
    st.lists(st.sampled_from([*"rsi,=mz10", "QUI=", "AAAA", "s=", "i=", f"r={NONCE}"])).map("".join)
)
def test_any_server_first(text: str) -> None:
    legal = matches(server_first, text) and is_salt(text.partition(",s=")[2].partition(",")[0])
    assert scram_client_takes(text) == legal


def is_salt(text: str) -> bool:
    """Not empty, and base64 whose unused bits are zero."""
    return bool(text) and b64encode(b64decode(text)).decode() == text
