"""The PROXY header: any octets, in any cut; never read beyond; format and parse are inverse.

Input: how it is cut, seed of the cuts; then the octets.
"""

from contextlib import suppress

from fuzz.choices import Choices, cut
from smtpwire.wire.proxy import (
    ProxyHeader,
    ProxyReader,
    ProxyRefused,
    ProxyTransport,
    format_proxy_header,
)

_LIMIT = 600


def check(data: bytes) -> None:
    choices = Choices(data)
    mode, seed = choices.octet(), choices.octet()
    octets = choices.rest()
    whole = _read([octets] if octets else [])
    assert _read(cut(octets, mode, seed)) == whole
    result, rest = whole
    if isinstance(result, ProxyHeader):
        length = len(octets) - len(rest)
        assert octets[length:] == rest
        assert length <= _LIMIT
        _check_header(result)
        if result.version == 2 and result.source is not None:
            # Whole, and octet by octet what came, but for a checksum.
            sent = format_proxy_header(result)
            assert sent == octets[:length] or len(sent) + 7 == length
    _check_wanted(octets, result)


def _read(parts: list[bytes]) -> tuple[ProxyHeader | ProxyRefused, bytes]:
    reader = ProxyReader(limit=_LIMIT)
    for at, part in enumerate(parts):
        result = reader.receive_data(part)
        if result is not None:
            behind = b"".join(parts[at + 1 :])
            return result, reader.rest + behind if isinstance(result, ProxyHeader) else b""
    result = reader.receive_data(b"")
    assert result is not None
    return result, b""


def _check_wanted(octets: bytes, expected: ProxyHeader | ProxyRefused) -> None:
    """Who reads only what is wanted gets the same and never reads beyond the header."""
    reader = ProxyReader(limit=_LIMIT)
    at = steps = 0
    result = None
    while result is None:
        assert reader.wanted > 0
        part = octets[at : at + reader.wanted]
        result = reader.receive_data(part)
        at += len(part)
        steps += 1
    assert steps <= len(octets) + 1
    assert result == expected
    assert reader.wanted == 0
    assert reader.rest == b""
    with suppress(ValueError):
        reader.receive_data(b"x")
        raise AssertionError("it goes on behind its end")


def _check_header(header: ProxyHeader) -> None:
    for text in (header.authority or "", *(vars_of_tls(header))):
        assert text.isprintable() or not any(ord(letter) < 32 for letter in text)
    assert header.unique_id is None or len(header.unique_id) <= 128
    if header.transport in (ProxyTransport.UNIX_STREAM, ProxyTransport.UNIX_DATAGRAM):
        assert header.source is None
    for checksum in (False, header.version == 2 and header.transport is not ProxyTransport.UNSPEC):
        sent = format_proxy_header(header, checksum=checksum)
        # Longer by a checksum, so it is read without this target's limit.
        assert ProxyReader(limit=70_000).receive_data(sent) == header
    assert "\n" not in repr(header)


def vars_of_tls(header: ProxyHeader) -> tuple[str, ...]:
    tls = header.tls
    if tls is None:
        return ()
    assert tls.certificate or not tls.verified
    return tls.version, tls.cipher, tls.common_name
