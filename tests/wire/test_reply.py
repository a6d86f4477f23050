"""Replies: RFC 5321 §4.2, RFC 2034, RFC 3463 §2."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.reading import read

from smtpwire.wire.reply import Reply, format_reply, proven_reply

# -- the value


def test_a_reply_is_a_plain_value() -> None:
    reply = Reply(550, "Relaying denied", "5.7.1")
    assert repr(reply) == "Reply(code=550, text='Relaying denied', enhanced='5.7.1')"
    assert copy.copy(reply) == pickle.loads(pickle.dumps(reply)) == reply
    assert hash(reply) == hash(proven_reply(550, "Relaying denied", "5.7.1"))
    match reply:
        case Reply(550, text, enhanced):
            assert (text, enhanced) == ("Relaying denied", "5.7.1")


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(250), "250"),
        (Reply(250, "", "2.0.0"), "250 2.0.0"),
        (Reply(550, "no\nnever", "5.7.1"), "550 5.7.1 no / never"),
        (proven_reply(99, "x", None), "099 x"),
    ],
)
def test_str(reply: Reply, text: str) -> None:
    assert str(reply) == text


def test_classes_by_the_first_digit() -> None:  # RFC 5321 §4.2.1
    def flags(reply: Reply) -> tuple[bool, bool, bool, bool]:
        return (
            reply.is_positive,
            reply.is_intermediate,
            reply.is_transient,
            reply.is_permanent,
        )

    assert flags(Reply(250)) == (True, False, False, False)
    assert flags(Reply(354)) == (False, True, False, False)
    assert flags(Reply(421)) == (False, False, True, False)
    assert flags(proven_reply(299, "", None)) == (True, False, False, False)
    assert flags(proven_reply(399, "", None)) == (False, True, False, False)
    assert flags(proven_reply(499, "", None)) == (False, False, True, False)
    assert flags(proven_reply(599, "", None)) == (False, False, False, True)
    assert flags(Reply(559)) == (False, False, False, True)
    assert flags(proven_reply(699, "", None)) == (False, False, False, False)
    assert proven_reply(699, "", None).severity == 6


def test_text_is_lines() -> None:
    reply = Reply(250, "one\r\ntwo\n\tthree")
    assert reply.text == "one\ntwo\n\tthree"
    assert reply.lines == ("one", "two", "\tthree")
    assert Reply(250).lines == ("",)


def test_status_as_numbers() -> None:
    assert Reply(550, "", "5.7.128").status == (5, 7, 128)
    assert Reply(550).status is None


@pytest.mark.parametrize("code", [-250, 0, 99, 199, 260, 399, 560, 600, 2500])
def test_codes_out_of_range(code: int) -> None:  # RFC 5321 §4.2
    with pytest.raises(ValueError, match="reply code"):
        Reply(code)


@pytest.mark.parametrize(
    "text", ["a\rb", "a\0b", "a\x1b[1mb", "a\x7f", "a\x85", "a\ud800", "a\r\r\nb"]
)
def test_controls_in_text(text: str) -> None:
    with pytest.raises(ValueError, match="control character at 1"):
        Reply(250, text)


@pytest.mark.parametrize(
    "enhanced",
    ["", "5", "5.7", "5.7.1.1", "5.07.1", "5.7.1000", "5.7.1\n", "٥.7.1", "3.0.0", "5.7.1 "],
)
def test_enhanced_codes_that_are_none(enhanced: str) -> None:
    with pytest.raises(ValueError, match="RFC 3463"):
        Reply(550, "", enhanced)


@pytest.mark.parametrize(("code", "enhanced"), [(550, "4.7.1"), (250, "5.0.0"), (354, "2.0.0")])
def test_enhanced_codes_that_contradict(code: int, enhanced: str) -> None:
    with pytest.raises(ValueError, match="RFC 2034"):
        Reply(code, "", enhanced)


# -- what is written


@pytest.mark.parametrize(
    ("reply", "octets"),
    [
        (Reply(250, "ok"), b"250 ok\r\n"),
        (Reply(334), b"334 \r\n"),
        (Reply(250, "ok", "2.1.0"), b"250 2.1.0 ok\r\n"),
        (Reply(250, "", "2.0.0"), b"250 2.0.0 \r\n"),
        (Reply(550, "a\n\nc", "5.7.1"), b"550-5.7.1 a\r\n550-5.7.1 \r\n550 5.7.1 c\r\n"),
        (proven_reply(99, "x", None), b"099 x\r\n"),
    ],
)
def test_written(reply: Reply, octets: bytes) -> None:
    assert format_reply(reply) == octets


def test_text_beyond_ascii_needs_smtputf8() -> None:  # RFC 6531 §3.7.4
    assert format_reply(Reply(550, "boîte"), utf8=True) == "550 boîte\r\n".encode()
    with pytest.raises(ValueError, match="not ASCII at 2"):
        format_reply(Reply(550, "boîte"))


def test_long_lines_are_wrapped_at_a_blank() -> None:  # RFC 5321 §4.5.3.1.5
    reply = Reply(250, "word " * 20 + "end\nshort", "2.0.0")
    assert format_reply(reply, limit=64) == (
        b"250-2.0.0 word word word word word word word word word word\r\n"
        b"250-2.0.0 word word word word word word word word word word\r\n"
        b"250-2.0.0 end\r\n"
        b"250 2.0.0 short\r\n"
    )


def test_words_too_long_for_a_line_are_cut() -> None:
    lines = format_reply(Reply(250, "x" * 600)).split(b"\r\n")
    assert [len(line) + 2 for line in lines] == [512, 100, 2]
    cut = format_reply(Reply(250, " " + "ü" * 40), utf8=True, limit=64).decode()
    assert cut == "250- " + "ü" * 28 + "\r\n250 " + "ü" * 12 + "\r\n"


def test_a_line_may_end_at_the_blank_behind_the_most_octets() -> None:
    long = "x" * 58
    assert format_reply(Reply(250, f"{long} y"), limit=64) == b"250-%b\r\n250 y\r\n" % long.encode()


def test_a_piece_that_begins_with_a_blank_is_cut_behind_it() -> None:
    text = "x" * 58 + "  " + "y" * 60
    assert format_reply(Reply(250, text), limit=64) == (
        b"250-%b\r\n250- %b\r\n250 yyy\r\n" % (b"x" * 58, b"y" * 57)
    )


def test_a_line_of_exactly_the_limit_is_not_wrapped() -> None:
    assert format_reply(Reply(250, "a" * 506)) == b"250 " + b"a" * 506 + b"\r\n"


def test_limits_without_room() -> None:
    with pytest.raises(ValueError, match="below 64"):
        format_reply(Reply(250), limit=63)


texts = st.text(st.characters(exclude_categories=("Cc", "Cs"), include_characters="\n\t"))


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    code = draw(st.integers(2, 5)) * 100 + draw(st.integers(0, 59))
    text = draw(texts)
    if code // 100 == 3:
        return Reply(code, text)
    subject, detail = draw(st.integers(0, 999)), draw(st.integers(0, 999))
    return Reply(code, text, f"{code // 100}.{subject}.{detail}")


@given(replies())
def test_format_and_parse_are_inverse(reply: Reply) -> None:
    octets = format_reply(reply, utf8=True, limit=10_000)
    assert read(octets, max_line=10_000) == [reply]
    assert read(*(octets[n : n + 1] for n in range(len(octets))), max_line=10_000) == [reply]


@given(replies(), st.integers(64, 600))
def test_wrapping_keeps_the_limit_and_the_words(reply: Reply, limit: int) -> None:
    octets = format_reply(reply, utf8=True, limit=limit)
    assert all(len(line) + 2 <= limit for line in octets.split(b"\r\n"))
    [again] = read(octets)
    assert isinstance(again, Reply)
    assert (again.code, again.enhanced) == (reply.code, reply.enhanced)
    assert "".join(again.text.split()) == "".join(reply.text.split())
