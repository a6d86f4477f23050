"""Replies: any octets as a client reads them; and texts as a server writes them.

Input: enhanced or not, how it is cut, seed of the cuts; then the octets. They are read as a stream
of replies, and once more as the text of a reply that is to be sent.
"""

from typing import Final

from fuzz.choices import Choices, cut
from smtpwire.extensions import REGISTRY
from smtpwire.wire.ehlo import format_ehlo, parse_ehlo
from smtpwire.wire.reply import Reply, format_reply
from smtpwire.wire.reply_parser import ReplyError, ReplyParser

_LINE: Final = 128
_LINES: Final = 8
_OCTETS: Final = 512


def check(data: bytes) -> None:
    choices = Choices(data)
    enhanced = bool(choices.below(2))
    mode, seed = choices.octet(), choices.octet()
    octets = choices.rest()
    whole = _read([octets], enhanced)
    assert _read(cut(octets, mode, seed), enhanced) == whole
    for item in whole:
        if isinstance(item, Reply):
            _check_reply(item)
    _check_text(octets, 200 + seed)


def _parser(enhanced: bool) -> ReplyParser:
    return ReplyParser(enhanced=enhanced, max_line=_LINE, max_lines=_LINES, max_octets=_OCTETS)


def _read(parts: list[bytes], enhanced: bool) -> list[Reply | ReplyError]:
    parser = _parser(enhanced)
    found: list[Reply | ReplyError] = []
    received = calls = 0
    start = 0  # of the reply that comes
    octets = b"".join(parts)
    for part in parts:
        parser.receive_data(part)
        received += len(part)
        while (item := parser.next_reply()) is not None:
            calls += 1
            if isinstance(item, ReplyError):
                assert parser.next_reply() == item  # it stays
                assert not parser.pending
                assert item.offset <= received
                return [*found, item]
            found.append(item)
            _check_framing(item.code, octets[start : parser.offset])
            start = parser.offset
        assert parser.offset <= received
        # What is held of one reply is bounded, whatever came.
        assert received - parser.offset <= _OCTETS + 2 * _LINE + len(part)
    assert calls <= received // 5 + 1  # three digits and CRLF
    rest = parser.take_rest()
    assert octets.endswith(rest)
    assert not parser.pending
    return found


def _check_framing(code: int, octets: bytes) -> None:
    """Every line has the code, and only the last one no hyphen behind it (RFC 5321 §4.2.1)."""
    *lines, last, nothing = octets.split(b"\r\n")
    assert nothing == b""
    assert all(line[:4] == b"%03d-" % code for line in lines), octets
    assert last[:3] == b"%03d" % code
    assert last[3:4] != b"-"
    assert b"\n" not in last.join(lines)


def _check_reply(reply: Reply) -> None:
    assert len(reply.lines) <= _LINES
    assert all(line.isprintable() or not _has_control(line) for line in reply.lines)
    assert len(reply.text) <= 4 * _OCTETS
    response = parse_ehlo(reply)
    assert parse_ehlo(format_reading(format_ehlo(response))) == response
    offer = REGISTRY.read(response.keywords)
    assert set(offer.keywords) == {item.keyword for item in response.keywords}
    if 200 <= reply.code <= 559 and reply.code % 100 <= 59:
        again = Reply(reply.code, reply.text, reply.enhanced)
        assert again == reply
        assert format_reading(again) == reply


def format_reading(reply: Reply) -> Reply:
    """A reply as it is read after it was written with lines of any length."""
    parser = ReplyParser(enhanced=reply.enhanced is not None, max_line=1 << 20, max_octets=1 << 20)
    parser.receive_data(format_reply(reply, utf8=True, limit=1 << 20))
    read = parser.next_reply()
    assert isinstance(read, Reply)
    assert parser.next_reply() is None
    return read


def _has_control(text: str) -> bool:
    return any(ord(letter) < 32 and letter != "\t" for letter in text)


def _check_text(octets: bytes, code: int) -> None:
    """Whatever an application says comes out as one reply, or is refused."""
    try:
        reply = Reply(code, octets.decode("utf-8", "replace"))
    except ValueError:
        return
    sent = format_reply(reply, utf8=True, limit=64)
    lines = sent.split(b"\r\n")
    assert lines.pop() == b""
    for line in lines:
        assert len(line) <= 62
        assert b"\r" not in line
        assert b"\n" not in line
        assert line[:3] == b"%d" % code
        line.decode()  # no character is divided
    assert all(line[3:4] == b"-" for line in lines[:-1])
    assert lines[-1][3:4] == b" "
    assert format_reading(reply) == reply
