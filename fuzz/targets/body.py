"""The body codec, both ways, against a reference that goes octet by octet; and smuggling.

Input: policy, how it is cut, seed of the cuts; then the octets.
"""

from collections.abc import Callable
from typing import Final, Literal

from fuzz.choices import Choices, cut
from smtpwire.wire.body import (
    BareLineEnding,
    DotDecoder,
    DotEncoder,
    LineEndingCheck,
    LineEndingGuard,
    LineEndings,
    LineNormaliser,
    encode_canonical,
    pass_canonical,
)

_POLICIES: Final = (LineEndings.REJECT, LineEndings.NORMALISE, LineEndings.PRESERVE)
_END: Final = b"\r\n.\r\n"


def check(data: bytes) -> None:
    choices = Choices(data)
    policy = _POLICIES[choices.below(3)]
    mode, seed = choices.octet(), choices.octet()
    octets = choices.rest()
    parts = cut(octets, mode, seed)
    _check_decoder(octets, parts, policy)
    _check_encoder(octets, parts)
    _check_canonical(octets, parts)
    _check_normaliser(octets, parts)


# -- the references


def first_bare(octets: bytes) -> int:
    """Where the first CR or LF stands that is not part of CRLF, or -1."""
    for at, octet in enumerate(octets):
        if octet == 13 and octets[at + 1 : at + 2] != b"\n":
            return at
        if octet == 10 and octets[at - 1 : at] != b"\r":
            return at
    return -1


def with_crlf(octets: bytes) -> bytes:
    """CRLF for every CR, LF and CRLF."""
    made = bytearray()
    for at, octet in enumerate(octets):
        if octet == 13 or (octet == 10 and (at == 0 or octets[at - 1] != 13)):
            made += b"\r\n"
        elif octet != 10:
            made.append(octet)
    return bytes(made)


# -- the oracles


def _check_decoder(octets: bytes, parts: list[bytes], policy: LineEndings) -> None:
    decoder = DotDecoder(policy)
    content = bytearray()
    taken = 0
    for part in parts:
        if decoder.finished:
            break
        content += decoder.decode(part)
        taken += len(part)
    # The body starts as if a CRLF had come before it.
    end = (b"\r\n" + octets).find(_END)
    assert decoder.finished is (end >= 0)
    raw = octets[:end] if decoder.finished else octets
    bare = first_bare(raw)
    expected = _content(raw, bare, policy)
    if not decoder.finished:
        # What may yet become the end of data, and the CR behind it, is held back.
        assert expected.startswith(content)
        assert policy is LineEndings.NORMALISE or bare >= 0 or len(content) + 4 >= len(expected)
        return
    assert octets[:taken][end + 3 :] == decoder.rest
    _check_ended(lambda: decoder.decode(b"x"))
    rejected = policy is LineEndings.REJECT and bare >= 0
    assert decoder.violation == (bare if rejected else None)
    assert decoder.bare == (raw[bare : bare + 1] if rejected else b"")
    assert decoder.canonical is (policy is not LineEndings.PRESERVE or bare < 0)
    assert content == expected


def _content(raw: bytes, bare: int, policy: LineEndings) -> bytes:
    """What the octets before the end of data mean."""
    if policy is LineEndings.REJECT and bare >= 0:
        raw = raw[:bare]
    lines = [line[1:] if line[:1] == b"." else line for line in raw.split(b"\r\n")]
    content = b"\r\n".join(lines)
    return with_crlf(content) if policy is LineEndings.NORMALISE else content


def _encoded(
    parts: list[bytes], policy: Literal[LineEndings.REJECT, LineEndings.NORMALISE]
) -> bytes:
    encoder = DotEncoder(policy)
    sent = b"".join([*(encoder.encode(part) for part in parts), encoder.end()])
    _check_ended(lambda: encoder.encode(b"x"))
    _check_ended(encoder.end)
    return sent


def _check_ended(call: Callable[[], object]) -> None:
    """What has ended takes no more."""
    try:
        call()
    except ValueError:
        return
    raise AssertionError("it goes on behind its end")


def _check_encoder(octets: bytes, parts: list[bytes]) -> None:
    bare = first_bare(octets)
    try:
        sent = _encoded(parts, LineEndings.REJECT)
    except BareLineEnding as error:
        refused = error.offset, error.octet
    else:
        refused = -1, b""
        _check_sent(sent, octets)
    assert refused == (bare, octets[bare : bare + 1] if bare >= 0 else b"")
    _check_sent(_encoded(parts, LineEndings.NORMALISE), with_crlf(octets))


def _check_canonical(octets: bytes, parts: list[bytes]) -> None:
    """Content that was looked through before is sent the same, and still refused where it ends."""
    if first_bare(octets) >= 0:
        return
    encoder, guard = DotEncoder(), LineEndingGuard()
    sent = b"".join([*(encode_canonical(encoder, part) for part in parts), encoder.end()])
    assert sent == _encoded(parts, LineEndings.REJECT)
    for part in parts:
        pass_canonical(guard, part)
    guard.end()


def _check_sent(sent: bytes, content: bytes) -> None:
    """No receiver, however lax, finds a line end or an end of data where none is meant."""
    assert first_bare(sent) < 0
    assert (b"\r\n" + sent).count(_END) == 1
    assert (b"\r\n" + sent).endswith(_END)
    decoder = DotDecoder()
    received = decoder.decode(sent)
    whole = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert decoder.finished
    assert decoder.rest == b""
    assert decoder.violation is None
    assert received == whole


def _check_normaliser(octets: bytes, parts: list[bytes]) -> None:
    normaliser = LineNormaliser()
    assert normaliser.normalise(b"") == b""
    assert b"".join(map(normaliser.normalise, parts)) == with_crlf(octets)
    watch = LineEndingCheck()
    for part in parts:
        watch.update(part)
    watch.update(b"", last=True)
    assert watch.canonical is (first_bare(octets) < 0)
