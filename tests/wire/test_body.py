"""The dot codec: RFC 5321 §4.5.2, §4.1.1.4 and §2.3.8."""

import itertools
import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.splitting import CUTS, divided, every_split

from smtpwire.wire.body import (
    BareLineEnding,
    DotDecoder,
    DotEncoder,
    LineEndingCheck,
    LineEndingGuard,
    LineEndings,
    LineNormaliser,
    encode_canonical,
)

REJECT: Final = LineEndings.REJECT
NORMALISE: Final = LineEndings.NORMALISE
PRESERVE: Final = LineEndings.PRESERVE

# What a received body comes to: content, the octets behind its end (None: no end yet), and the
# offset of the first bare CR or LF.
Decoded = tuple[bytes, bytes | None, int | None]

EVIL = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<v@example.com>\r\nDATA\r\nfake\r\n"


def decode(chunks: list[bytes], line_endings: LineEndings = REJECT) -> Decoded:
    decoder = DotDecoder(line_endings)
    content = b""
    rest = b""
    for chunk in chunks:
        if decoder.finished:
            rest += chunk
        else:
            content += decoder.decode(chunk)
    return content, decoder.rest + rest if decoder.finished else None, decoder.violation


def decode_slowly(octets: bytes, line_endings: LineEndings) -> Decoded:
    """The same, octet by octet, as the RFC has it."""
    content = b""
    violation: int | None = None

    def bare(offset: int) -> None:
        nonlocal content, violation
        if line_endings is REJECT:
            violation = offset if violation is None else violation
        else:
            content += b"\r\n" if line_endings is NORMALISE else octets[offset : offset + 1]

    state = "start of line"
    for offset, octet in enumerate(octets):
        character = chr(octet)
        if state == "dot, CR" and character == "\n":
            return content, octets[offset + 1 :], violation
        if state == "dot" and character == "\r":
            state = "dot, CR"
            continue
        if state == "CR" and character == "\n":
            if violation is None:
                content += b"\r\n"
            state = "start of line"
            continue
        if state in ("CR", "dot, CR"):
            bare(offset - 1)
        if state == "start of line" and character == ".":
            state = "dot"
        elif character == "\r":
            state = "CR"
        else:
            state = "text"
            if character == "\n":
                bare(offset)
            elif violation is None:
                content += bytes([octet])
    return content, None, violation


def encode(chunks: list[bytes], line_endings: LineEndings = REJECT) -> bytes:
    encoder = DotEncoder(NORMALISE) if line_endings is NORMALISE else DotEncoder()
    return b"".join([*map(encoder.encode, chunks), encoder.end()])


def normalise(chunks: list[bytes]) -> bytes:
    return b"".join(map(LineNormaliser().normalise, chunks))


# --- receiving -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "content"),
    [
        pytest.param(b"Subject: x\r\n\r\nhi\r\n", b"Subject: x\r\n\r\nhi\r\n", id="D-DOT-001"),
        pytest.param(b"..test\r\n", b".test\r\n", id="D-DOT-002"),
        pytest.param(b"", b"", id="D-DOT-003"),
        pytest.param(b"a\r\n\r\n\r\n", b"a\r\n\r\n\r\n", id="D-DOT-004"),
        pytest.param(b"a\r\n..\r\n...b\r\n", b"a\r\n.\r\n..b\r\n", id="D-DOT-005"),
        pytest.param(b"a\r\n.b\r\n", b"a\r\nb\r\n", id="D-DOT-006"),
        pytest.param(b"x\r\n.\0\r\n" + EVIL, b"x\r\n\0\r\n" + EVIL, id="D-DOT-013"),
        pytest.param(b"caf\xc3\xa9 \xff\0 end\r\n", b"caf\xc3\xa9 \xff\0 end\r\n", id="D-DOT-018"),
        pytest.param(b"..\r\n..\r\n", b".\r\n.\r\n", id="only dots"),
        pytest.param(b"..a\r\n" * 99, b".a\r\n" * 99, id="very short lines"),
        pytest.param(b"..\0\r\n" * 99, b".\0\r\n" * 99, id="very short lines with NUL"),
    ],
)
@pytest.mark.parametrize("line_endings", LineEndings)
def test_content(received: bytes, content: bytes, line_endings: LineEndings) -> None:
    # D-DOT-017: what stands behind the end is not the message's.
    for chunks in every_split(received + b".\r\nQUIT\r\n"):
        assert decode(chunks, line_endings) == (content, b"QUIT\r\n", None)


@pytest.mark.parametrize(
    ("received", "preserved", "violation"),
    [
        pytest.param(b"x\n.\n" + EVIL, b"x\n.\n" + EVIL, 1, id="D-DOT-007"),
        pytest.param(b"x\n.\r\n" + EVIL, b"x\n.\r\n" + EVIL, 1, id="D-DOT-008"),
        pytest.param(b"x\r.\r" + EVIL, b"x\r.\r" + EVIL, 1, id="D-DOT-009"),
        pytest.param(b"x\r\n.\r" + EVIL, b"x\r\n\r" + EVIL, 4, id="D-DOT-010"),
        pytest.param(b".\n" + EVIL, b"\n" + EVIL, 1, id="D-DOT-011"),
        pytest.param(b"x\n\n.\n\n" + EVIL, b"x\n\n.\n\n" + EVIL, 1, id="D-DOT-012"),
        pytest.param(b"x\r\r\n", b"x\r\r\n", 1, id="D-DOT-014"),
        pytest.param(b"Subject: x\n\nbody\r\n", b"Subject: x\n\nbody\r\n", 10, id="D-DOT-015"),
        pytest.param(b"one\n..\ntwo\r\n", b"one\n..\ntwo\r\n", 3, id="D-DOT-016"),
        pytest.param(b"\n\r\n", b"\n\r\n", 0, id="at once"),
        pytest.param(b"..\r\n.\r.\r\n", b".\r\n\r.\r\n", 5, id="counted as received"),
        pytest.param(b"x\r\n.\r\r\n", b"x\r\n\r\r\n", 4, id="dot, two CR"),
    ],
)
def test_bare_line_endings(received: bytes, preserved: bytes, violation: int) -> None:
    normalised = re.sub(rb"\r\n|\r|\n", b"\r\n", preserved)
    before, _, _ = decode_slowly(received[:violation] + b"x", PRESERVE)
    for chunks in every_split(received + b".\r\nQUIT\r\n"):
        assert decode(chunks, PRESERVE) == (preserved, b"QUIT\r\n", None)
        assert decode(chunks, NORMALISE) == (normalised, b"QUIT\r\n", None)
        assert decode(chunks, REJECT) == (before.removesuffix(b"x"), b"QUIT\r\n", violation)


AROUND: Final = (b"\r", b"\n", b"\r\n", b"\0", b"")


@pytest.mark.parametrize("line_endings", LineEndings)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (start + before, after)
        for start, before, after in itertools.product((b"", b"x", b"x\r\n"), AROUND, AROUND)
        if after != b"\r\n" or not (b"\r\n" + start + before).endswith(b"\r\n")
    ],
)
def test_what_looks_like_the_end_of_data(
    before: bytes, after: bytes, line_endings: LineEndings
) -> None:
    received = before + b"." + after + EVIL + b".\r\n"
    expected = decode_slowly(received, line_endings)
    for chunks in every_split(received):
        content, rest, violation = decode(chunks, line_endings)
        assert rest == b"", "the message ends at the true end, and nothing remains for commands"
        assert (content, rest, violation) == expected
        for sent in (encode([content], NORMALISE), encode(divided(content, [3, 5]), NORMALISE)):
            assert lax_ends(sent) == 1


def lax_ends(wire: bytes) -> int:
    """How many messages end where a receiver takes CR, LF and CRLF for the end of a line."""
    lines = re.split(rb"\r\n|\r|\n", b"\r\n" + wire)
    return sum(line == b"." for line in lines)


LOOK_ALIKES = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"\0", b"x", b"\r\n.\r", b"\r\n."]),
    max_size=12,
).map(b"".join)


@given(LOOK_ALIKES, st.sampled_from([b"", b"\r\n.\r\n", b"\r\n.\r\nx\n.\r\n.\r\n"]), CUTS)
def test_as_the_slow_decoder(start: bytes, end: bytes, cuts: list[int]) -> None:
    for line_endings in LineEndings:
        content, rest, violation = decode(divided(start + end, cuts), line_endings)
        expected, expected_rest, expected_violation = decode_slowly(start + end, line_endings)
        assert rest == expected_rest
        if rest is None:
            # Some octets are held back; and the slow one is sure of a bare CR as late as we are.
            assert expected.startswith(content)
        else:
            assert (content, violation) == (expected, expected_violation)


@given(LOOK_ALIKES)
def test_at_most_four_octets_are_held_back(octets: bytes) -> None:
    decoder = DotDecoder(PRESERVE)
    given_out = 0
    for at in range(len(octets)):
        given_out += len(decoder.decode(octets[at : at + 1]))
        if decoder.finished:
            break
        complete, _, _ = decode_slowly(octets[: at + 1] + b"x", PRESERVE)
        assert 0 <= len(complete) - 1 - given_out <= 4


def test_any_kind_of_octets() -> None:
    decoder = DotDecoder()
    assert decoder.decode(bytearray(b"a\r\n..")) == b"a\r\n."
    assert decoder.decode(memoryview(b"b\r\n.\r\nQUIT")) == b"b\r\n"
    assert decoder.rest == b"QUIT"


def test_nothing_is_decoded_behind_the_end() -> None:
    decoder = DotDecoder()
    assert decoder.decode(b".\r\n") == b""
    with pytest.raises(ValueError, match="already"):
        decoder.decode(b"x")


def test_before_a_violation_nothing_is_bare() -> None:
    decoder = DotDecoder()
    assert (decoder.violation, decoder.bare) == (None, b"")


def test_canonical_is_said_of_what_is_handed_out() -> None:
    for line_endings, canonical in ((REJECT, True), (NORMALISE, True), (PRESERVE, False)):
        decoder = DotDecoder(line_endings)
        decoder.decode(b"one\r\n")
        assert decoder.canonical
        decoder.decode(b"two\nthree\n")
        decoder.decode(b"four\r\n.\r\n")
        assert decoder.finished
        assert decoder.canonical is canonical


def test_discarding_goes_on_to_the_true_end() -> None:
    decoder = DotDecoder()
    assert decoder.decode(b"one\r\n.") == b"one"
    decoder.discard()
    for chunk in (b"\r", b"\r\n", b"x\n.\r\n", b"two\r\n."):
        assert decoder.decode(chunk) == b""
        assert not decoder.finished
    assert decoder.decode(b"\r\nQUIT\r\n") == b""
    assert decoder.finished
    assert decoder.rest == b"QUIT\r\n"
    assert decoder.violation is None


# --- sending ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "wire"),
    [
        pytest.param([b".\r\n"], b"..\r\n.\r\n", id="D-DOT-019"),
        pytest.param([b"hi"], b"hi\r\n.\r\n", id="D-DOT-020"),
        pytest.param([], b".\r\n", id="D-DOT-021"),
        pytest.param([b""], b".\r\n", id="D-DOT-021, an empty chunk"),
        pytest.param([b"a\r\n", b".b\r\n"], b"a\r\n..b\r\n.\r\n", id="D-DOT-022"),
        pytest.param([b"www", b".example.com\r\n"], b"www.example.com\r\n.\r\n", id="D-DOT-023"),
        pytest.param([b"a\r\n", b"", b".\r\n"], b"a\r\n..\r\n.\r\n", id="D-DOT-024"),
        pytest.param([b".a\r\n.b\r\n.\r\n"], b"..a\r\n..b\r\n..\r\n.\r\n", id="every line"),
        pytest.param([b"a\r", b"\n.b"], b"a\r\n..b\r\n.\r\n", id="a CRLF divided"),
    ],
)
@pytest.mark.parametrize("line_endings", [REJECT, NORMALISE])
def test_wire(chunks: list[bytes], wire: bytes, line_endings: LineEndings) -> None:
    assert encode(chunks, line_endings) == wire
    for redivided in every_split(b"".join(chunks)):
        assert encode(redivided, line_endings) == wire


@pytest.mark.parametrize(
    ("content", "offset", "octet", "wire"),
    [
        pytest.param(b"a\n.b\n", 1, b"\n", b"a\r\n..b\r\n.\r\n", id="D-DOT-025"),
        pytest.param(b"50%\r100%\r\n", 3, b"\r", b"50%\r\n100%\r\n.\r\n", id="D-DOT-026"),
        pytest.param(
            b"x\n.\r\nMAIL FROM:<e@example.org>\r\n",
            1,
            b"\n",
            b"x\r\n..\r\nMAIL FROM:<e@example.org>\r\n.\r\n",
            id="D-DOT-027",
        ),
        pytest.param(b"a\r\nb\r", 4, b"\r", b"a\r\nb\r\n.\r\n", id="a CR at the end"),
        pytest.param(b"a\r\n\n", 3, b"\n", b"a\r\n\r\n.\r\n", id="an LF too many"),
        pytest.param(b"a\r\r\n", 1, b"\r", b"a\r\n\r\n.\r\n", id="a CR too many"),
    ],
)
def test_bare_line_endings_are_not_sent(
    content: bytes, offset: int, octet: bytes, wire: bytes
) -> None:
    for chunks in every_split(content):
        with pytest.raises(BareLineEnding) as caught:
            encode(chunks)
        assert (caught.value.offset, caught.value.octet) == (offset, octet)
        assert encode(chunks, NORMALISE) == wire
        with pytest.raises(BareLineEnding) as caught:
            guard(chunks)
        assert (caught.value.offset, caught.value.octet) == (offset, octet)
        assert found(chunks) == offset


def guard(chunks: list[bytes]) -> None:
    guard = LineEndingGuard()
    for chunk in chunks:
        guard.check(chunk)
    guard.end()


def found(chunks: list[bytes]) -> int | None:
    """Where a check that is told chunk by chunk finds the first bare CR or LF."""
    check = LineEndingCheck()
    seen = 0
    for chunk in chunks:
        at = check.find(chunk)
        if at is not None:
            assert check.find(b"\n", last=True) is None, "only the first one is told"
            return seen + at
        seen += len(chunk)
    at = check.find(b"", last=True)
    return None if at is None else seen + at


def test_a_chunk_that_the_guard_refused_does_not_count() -> None:
    guard = LineEndingGuard()
    guard.check(b"one\r\ntwo\r")
    for _ in range(2):
        with pytest.raises(BareLineEnding, match="bare CR at offset 8 of the content"):
            guard.check(b"three")
    guard.check(b"\nthree")
    with pytest.raises(BareLineEnding, match="bare LF at offset 15 of the content"):
        guard.check(b"\n")
    guard.end()


def test_a_refused_chunk_changes_nothing() -> None:
    encoder = DotEncoder()
    wire = encoder.encode(b"one\r\n.two\r")
    with pytest.raises(BareLineEnding, match="bare CR at offset 9 of the content"):
        encoder.encode(b"three")
    with pytest.raises(BareLineEnding, match="bare CR at offset 9 of the content"):
        encoder.end()
    wire += encoder.encode(b"\n.")
    with pytest.raises(BareLineEnding, match="bare LF at offset 13 of the content"):
        encoder.encode(b"x\n")
    wire += encoder.encode(b"three") + encoder.end()
    assert wire == b"one\r\n..two\r\n..three\r\n.\r\n"


def test_content_that_was_looked_through_is_encoded_as_any_other() -> None:
    content = b"\r\n.one\r\n..\r\n\r\ntwo."
    for first in range(len(content)):
        for second in range(first, len(content)):
            chunks = [content[:first], content[first:second], content[second:]]
            encoder = DotEncoder()
            made = [*(encode_canonical(encoder, chunk) for chunk in chunks), encoder.end()]
            assert b"".join(made) == encode(chunks)


def test_nothing_is_encoded_behind_the_end() -> None:
    encoder = DotEncoder()
    assert encoder.end() == b".\r\n"
    with pytest.raises(ValueError, match="already"):
        encoder.encode(b"x")
    with pytest.raises(ValueError, match="already"):
        encoder.end()


def test_bare_line_endings_cannot_be_sent_on_purpose() -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        DotEncoder(PRESERVE)  # type: ignore[arg-type]  # what a caller without types may do


def test_any_kind_of_content() -> None:
    encoder = DotEncoder()
    assert encoder.encode(bytearray(b".a\r\n")) == b"..a\r\n"
    assert encoder.encode(memoryview(b".b\r\n")) == b"..b\r\n"
    assert LineNormaliser().normalise(bytearray(b"a\n")) == b"a\r\n"
    assert LineNormaliser().normalise(memoryview(b"a\n")) == b"a\r\n"


CANONICAL = st.lists(
    st.sampled_from([b"\r\n", b".", b"..", b"x", b"\0", b"\xff", b"xyz" * 30]), max_size=12
).map(b"".join)


@given(CANONICAL, CUTS, CUTS, st.sampled_from(LineEndings))
def test_what_is_sent_is_what_is_received(
    content: bytes, cuts: list[int], other_cuts: list[int], line_endings: LineEndings
) -> None:
    wire = encode(divided(content, cuts))
    received = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert decode(divided(wire, other_cuts), line_endings) == (received, b"", None)
    assert lax_ends(wire) == 1


@given(st.one_of(LOOK_ALIKES, st.binary(max_size=30)), CUTS)
def test_in_by_bdat_out_by_data(content: bytes, cuts: list[int]) -> None:
    # Bare CR and LF come legally by BDAT; what is sent on never has two ends.
    chunks = divided(content, cuts)
    wire = encode(chunks, NORMALISE)
    assert lax_ends(wire) == 1
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", wire)
    received, rest, violation = decode([wire])
    assert (rest, violation) == (b"", None)
    assert received in (normalise(chunks), normalise(chunks) + b"\r\n")
    if normalise(chunks) == content:
        assert encode(chunks) == wire
    else:
        with pytest.raises(BareLineEnding) as caught:
            encode(chunks)
        assert content[caught.value.offset :].startswith(caught.value.octet)


# --- line ends -------------------------------------------------------------------------------


@given(st.one_of(LOOK_ALIKES, st.binary(max_size=30)), CUTS)
def test_normalising(content: bytes, cuts: list[int]) -> None:
    normalised = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    assert normalise(divided(content, cuts)) == normalised
    assert normalise([normalised]) == normalised


@pytest.mark.parametrize(
    ("content", "canonical"),
    [
        (b"", True),
        (b"a", True),
        (b"a\r\nb\r\n", True),
        (b"a\nb", False),
        (b"a\rb", False),
        (b"a\r", False),
        (b"a\n\r", False),
        (b"a\r\r\n", False),
    ],
)
def test_watching_for_bare_line_endings(content: bytes, canonical: bool) -> None:
    for chunks in every_split(content):
        check = LineEndingCheck()
        for chunk in chunks:
            check.update(chunk)
        check.update(b"", last=True)
        assert check.canonical is canonical
        assert (found(chunks) is None) is canonical


def test_a_cr_at_the_end_of_a_chunk_is_not_yet_bare() -> None:
    check = LineEndingCheck()
    check.update(memoryview(b"a\r"))
    assert check.canonical
    check.update(bytearray(b"\n"), last=True)
    assert check.canonical


@pytest.mark.parametrize(
    "line", [b".x\r\n", b"." + b"y" * 70 + b"\r\n", b"z" * 300_000 + b"\r\n.\r\n"]
)
def test_large_content_is_stuffed_in_blocks_and_comes_out_whole(line: bytes) -> None:
    content = line * (500_000 // len(line) + 1)
    encoder = DotEncoder()
    wire = encoder.encode(content) + encoder.end()
    stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    assert wire == stuffed + b".\r\n"
    assert DotDecoder().decode(wire) == content
