"""The recorded sessions are complete and readable."""

from tests.transcripts.sessions import Chunk, sessions


def test_every_session_loads() -> None:
    assert len(sessions()) == 341
    assert len({session.server for session in sessions()}) == 12


def test_a_session_reads_as_a_dialogue() -> None:
    session = next(s for s in sessions() if (s.client, s.server) == ("swaks", "postfix"))
    assert session.rc == 0
    assert not session.lmtp
    assert session.chunks[0] == Chunk("S", b"220 localhost ESMTP Postfix\r\n")
    assert session.chunks[1] == Chunk("C", b"EHLO client.test\r\n")
    assert session.octets("C").endswith(b"\r\n.\r\nQUIT\r\n")


def test_sides_end_by_an_empty_chunk() -> None:
    for session in sessions():
        for side in ("C", "S"):
            data = [chunk.data for chunk in session.chunks if chunk.side == side]
            assert b"" not in data[:-1], session
