"""An adapter for anyio: the server's loop (``operations.serve``) over anyio's streams.

python anyio_adapter.py 2525
"""

import logging
import ssl
import sys
from functools import partial
from time import monotonic

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSAttribute, TLSStream

from smtpwire import Need, Peer, Reply, ServerConfig, ServerConnection, TlsInfo
from smtpwire.operations import ServeStep, serve
from smtpwire.service import Application, Message, Service, Session, session_factory


class Connection:
    """A session over a stream: ``conn``, ``flush()``, ``shutdown()``, ``close()``."""

    def __init__(
        self, stream: SocketStream, config: ServerConfig, tls: ssl.SSLContext | None
    ) -> None:
        self._stream: ByteStream = stream
        self._tls = tls
        address = stream.extra(SocketAttribute.remote_address)
        self.conn = ServerConnection(config, peer=Peer(str(address[0]), int(address[1])))

    async def flush(self) -> None:
        if octets := self.conn.data_to_send():
            await self._stream.send(octets)

    def shutdown(self) -> None:
        self.conn.shutdown()

    def close(self) -> None:
        self.conn.abort()

    async def run(self, application: Application, config: ServerConfig) -> None:
        logger = logging.getLogger("smtpwire")
        serving = serve(self, session_factory(application, config), config, logger, monotonic)
        step = next(serving)
        while step is not Need.CLOSE:
            try:
                await self._meet(step)
            except BaseException as error:
                step = serving.throw(error)
            else:
                step = next(serving)
        await self.flush()
        await self._stream.aclose()

    async def _meet(self, step: ServeStep) -> None:
        timeout = self.conn.timeout
        with anyio.move_on_after(None if timeout is None else timeout.seconds) as scope:
            await self.flush()
            if step is Need.DATA:
                await self._read()
            elif step is Need.TLS and self._tls is not None:
                await self._start_tls(self._tls)
        if scope.cancelled_caught:
            self.conn.timed_out()
        if not isinstance(step, Need):
            await step

    async def _read(self) -> None:
        try:
            self.conn.receive_data(await self._stream.receive())
        except anyio.EndOfStream:
            self.conn.receive_data(b"")

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        try:
            stream = await TLSStream.wrap(
                self._stream, server_side=True, ssl_context=context, standard_compatible=False
            )
        except (OSError, anyio.BrokenResourceError) as error:
            self.conn.tls_failed(str(error))
            return
        self._stream = stream
        cipher = stream.extra(TLSAttribute.cipher)
        self.conn.tls_started(TlsInfo(stream.extra(TLSAttribute.tls_version), cipher[0]))


async def start(
    application: Application, config: ServerConfig, port: int, tls: ssl.SSLContext | None = None
) -> None:
    async def handle(stream: SocketStream) -> None:
        await Connection(stream, config, tls).run(application, config)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    await listener.serve(handle)


class Sink(Service):
    def rcpt(self, session: Session, command: object, /) -> Reply:
        return Reply(250)

    async def message(self, session: Session, message: Message, /) -> None:
        await anyio.sleep(0)
        print(message.tls is not None, message.content, flush=True)


def main(port: str, certificate: str = "", backend: str = "asyncio") -> None:
    context = None
    config = ServerConfig.relay("localhost", starttls=bool(certificate))
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    anyio.run(partial(start, Sink, config, int(port), context), backend=backend)


if __name__ == "__main__":
    main(*sys.argv[1:])
