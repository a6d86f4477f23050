"""aiosmtpd's server: a handler that accepts all and does nothing, no logging, no limits."""

import asyncio
import logging
from collections.abc import Callable

from aiosmtpd.smtp import SMTP, Envelope, Session

__all__ = ["make_protocol"]


class _Handler:
    """Takes the message, whose octets aiosmtpd keeps and joins itself."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return "250 OK"


def make_protocol(loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    """A server's protocol for one connection."""
    logging.getLogger("mail").setLevel(logging.CRITICAL)
    make: Callable[..., asyncio.Protocol] = SMTP
    return make(
        _Handler(),
        loop=loop,
        hostname="mx.example.org",
        ident="ESMTP",
        data_size_limit=None,
    )
