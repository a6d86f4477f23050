"""The primitive below which no decoder of DATA can be: one search for the end."""

from benchmarks.harness import Work

__all__ = ["passes"]


def passes(chunks: list[bytes]) -> Work:
    """Search every chunk once for CRLF.CRLF."""

    def work(count: int) -> None:
        for _ in range(count):
            for chunk in chunks:
                chunk.find(b"\r\n.\r\n")

    return work
