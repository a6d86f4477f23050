"""Changes inputs as one who knows SMTP would: by lines, replies and chunks, and not by octets only.

A mutator is given an input, how long it may become, a seed, and a way to change octets anyhow. The
octets of choices at the front of an input stay what they are, or become others of them.
"""

import random
import re
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["MUTATORS", "Mutator", "anyhow"]

Change = Callable[[bytes, int], bytes]
"""Changes octets anyhow, up to a length."""
Mutator = Callable[[bytes, int, int, Change], bytes]

_BDAT: Final = re.compile(rb"BDAT \d+( LAST)?\r\n", re.IGNORECASE)
_COMMANDS: Final = (
    b"EHLO c.example\r\n", b"HELO c.example\r\n", b"LHLO c.example\r\n", b"MAIL FROM:<>\r\n",
    b"MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME\r\n", b"MAIL FROM:<a@b.example> PRDR\r\n",
    b"RCPT TO:<c@d.example>\r\n", b"RCPT TO:<postmaster>\r\n", b"DATA\r\n", b".\r\n", b"RSET\r\n",
    b"MAIL FROM:<a@b.example> SMTPUTF8 RET=FULL ENVID=x\r\n", b"NOOP\r\n", b"VRFY b\r\n", b"*\r\n",
    b"RCPT TO:<c@d.example> NOTIFY=NEVER ORCPT=rfc822;c@d\r\n", b"EXPN b\r\n", b"=\r\n",
    b"HELP\r\n", b"STARTTLS\r\n", b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n", b"AUTH LOGIN\r\n",
    b"dXNlcg==\r\n", b"cGFzcw==\r\n", b"AUTH CRAM-MD5\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9YzA=\r\n", b"QUIT\r\n",
    b"AUTH XOAUTH2 dXNlcj11c2VyAWF1dGg9QmVhcmVyIHRva2VuAQE=\r\n", b"ETRN example.org\r\n", b"\r\n",
    b"ATRN example.org\r\n", b"XCLIENT NAME=c.example LOGIN=u\r\n", b"XFORWARD NAME=c.example\r\n",
    b"BURL imap://c.example/1 LAST\r\n", b"BDAT 3 LAST\r\na\r\n", b"BDAT 0\r\n", b"BDAT 0 LAST\r\n",
    b"PROXY TCP4 192.0.2.9 192.0.2.1 1 25\r\n", b"Subject: x\r\n", b"..\r\n", b"a\nb\r\n",
    b"\r.\r\n",
)  # fmt: skip
_REPLIES: Final = (
    b"220 mx\r\n", b"221 bye\r\n", b"250 ok\r\n", b"250-mx\r\n", b"250 PIPELINING\r\n",
    b"251 on\r\n", b"250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250 STARTTLS\r\n",
    b"252 maybe\r\n", b"250\r\n",
    b"250-PRDR\r\n250-SIZE 1000\r\n250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256\r\n", b"354 go\r\n",
    b"334 \r\n", b"334 VXNlcm5hbWU6\r\n", b"235 2.7.0 in\r\n", b"353 each\r\n",
    b"421 4.3.2 bye\r\n", b"450 4.2.0 later\r\n", b"452 too many\r\n", b"500 what\r\n",
    b"502 no\r\n", b"503 order\r\n", b"530 5.7.0 first\r\n", b"535 5.7.8 no\r\n",
    b"550 5.1.1 no\r\n", b"552 full\r\n", b"554 no\r\n", b"521 none\r\n", b"650 odd\r\n",
    b"not a reply\r\n", b"250-LIMITS RCPTMAX=2 MAILMAX=1\r\n", b"250-BURL imap\r\n250 8BITMIME\r\n",
)  # fmt: skip
_ACTIONS: Final = b"EHMPpRDCBbl.SNhVTtfQxOIUL0123456789mu~!$\n eikrydgcwWv"
_STEPS: Final = b"EHMPRDCBb.SNVQTAcLa2541wvX)]>([<ij$&~^!#f_"


def lines(data: bytes, longest: int, seed: int, change: Change) -> bytes:
    """For a server: choices, then what a client sends."""
    return _dialogue(data, longest, seed, change, 4, b"", _COMMANDS)


def replies(data: bytes, longest: int, seed: int, change: Change) -> bytes:
    """For a client: choices, then parts, each an action and what a server says behind it."""
    return _dialogue(data, longest, seed, change, 3, _ACTIONS, _REPLIES)


def steps(data: bytes, longest: int, seed: int, change: Change) -> bytes:
    """For two ends: a choice, then a letter a step."""
    chance = random.Random(seed)
    if chance.random() < 0.3:
        return change(data, longest)
    made = bytearray(data or b"0")
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(1, len(made))
        letters = bytes(chance.choices(_STEPS, k=chance.randint(1, 3)))
        end = at + chance.choice((0, 0, len(letters), 1))
        made[at:end] = letters if chance.random() < 0.9 else b""
    return bytes(made[:longest])


def anyhow(chance: random.Random) -> Change:
    """What changes octets without knowing what they mean, as libFuzzer does."""
    words: list[bytes] = [
        literal_eval(f"b{line}")
        for line in Path(__file__).with_name("smtp.dict").read_text("ascii").splitlines()
        if line.startswith('"')
    ]
    words += [bytes([octet]) for octet in (0, 9, 10, 13, 30, 32, 46, 127, 128, 255)]

    def change(data: bytes, longest: int) -> bytes:
        at, many = chance.randint(0, len(data)), chance.choice((0, 1, 1, 2, 4, 8))
        match chance.randrange(6):
            case 0:  # put a word in
                made = data[:at] + chance.choice(words) + data[at:]
            case 1:  # take some away
                made = data[:at] + data[at + many :]
            case 2:  # have some twice, elsewhere
                other = chance.randint(0, len(data))
                made = data[:other] + data[at : at + many] + data[other:]
            case 3:  # turn a bit over
                made = data[:at] + bytes(octet ^ 1 << many % 8 for octet in data[at : at + 1])
                made += data[at + 1 :]
            case 4:  # write over some
                made = data[:at] + chance.randbytes(many) + data[at + many :]
            case _:
                made = data[:at] + chance.choice(words) + data[at + many :]
        return made[:longest]

    return change


def _dialogue(
    data: bytes,
    longest: int,
    seed: int,
    change: Change,
    choices: int,
    actions: bytes,
    words: tuple[bytes, ...],
) -> bytes:
    chance = random.Random(seed)
    if len(data) < choices or chance.random() < 0.3:
        return change(data, longest)
    head, parts = bytearray(data[:choices]), data[choices:].split(b"\n")
    if chance.random() < 0.1:
        head[chance.randrange(choices)] = chance.choice(b"0123456789:;@P`p")
    for _ in range(chance.randint(1, 3)):
        _change_one(parts, chance, actions, words, change)
    octets = b"\n".join(parts)
    if chance.random() < 0.5:
        octets = _framed(octets)
    return (bytes(head) + octets)[:longest]


def _change_one(
    parts: list[bytes],
    chance: random.Random,
    actions: bytes,
    words: tuple[bytes, ...],
    change: Change,
) -> None:
    """Put a line in, take one away, have one twice, exchange two, or change one."""
    at, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    match chance.randrange(6):
        case 0 | 1:
            word = chance.choice(words)[:-1]
            if actions and chance.random() < 0.6:
                word = b"\x1e" + bytes([chance.choice(actions)]) + word
            parts.insert(at, word)
        case 2 if len(parts) > 1:
            del parts[at]
        case 3:
            parts.insert(other, parts[at])
        case 4:
            parts[at], parts[other] = parts[other], parts[at]
        case _:
            parts[at] = change(parts[at] or b" ", 2 * len(parts[at]) + 8)


def _framed(octets: bytes) -> bytes:
    """Every chunk is as long as its BDAT says: up to the next command that looks like one."""
    made, at = b"", 0
    for match in _BDAT.finditer(octets):
        if match.start() < at:
            continue
        found = re.compile(rb"(?:BDAT|RSET|MAIL|QUIT|NOOP|DATA)[ \r]").search(octets, match.end())
        end = found.start() if found else len(octets)
        made += octets[at : match.start()]
        made += b"BDAT %d%b\r\n" % (end - match.end(), match[1] or b"")
        made += octets[match.end() : end]
        at = end
    return made + octets[at:]


MUTATORS: Final[dict[str, Mutator]] = {
    "server_bytes": lines,
    "client_bytes": replies,
    "session": steps,
}
