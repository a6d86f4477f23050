"""Scripts at loopback sockets, in threads: for blocking, asyncio and trio alike."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Self, final

from smtpwire.testing.listener import HOST, Listener, in_thread
from smtpwire.testing.script import Player, Script, ScriptDiffers, Send, Step, Wait
from smtpwire.wire.checked import check_port, check_seconds, checked

if TYPE_CHECKING:
    from smtpwire.testing.certificates import Certificate

__all__ = ["ScriptedClient", "ScriptedServer"]

READ: Final = 65536
LINGER: Final = 1.0
"""Seconds that the other side has to close after the script has."""


class _Playing:
    """What both roles at a socket share."""

    def __init__(self, script: Script, timeout: float) -> None:
        check_seconds("timeout", checked("timeout", timeout, float))
        self._script = script
        self._timeout = timeout
        self._stop = Event()
        self._differences: list[str] = []
        self._failures: list[Exception] = []

    def play(self, sock: socket.socket) -> None:
        """Play the script at a connected socket."""
        player = Player(self._script)
        try:
            sock = self._drive(player, sock)
        except TimeoutError:
            player.failed(f"(nothing, for {self._timeout:g} s)")
        except (OSError, ValueError) as error:
            player.failed(f"({error})")
        except Exception as error:  # such as no certificate for --starttls: not the other side's
            self._failures.append(error)
            sock.close()
            return
        if player.difference:
            self._differences.append(player.difference)
        self._close(player, sock)

    def _drive(self, player: Player, sock: socket.socket) -> socket.socket:
        sock.settimeout(self._timeout)
        while True:
            step = player.next_step()
            if isinstance(step, Send):
                sock.sendall(step.octets)
            elif isinstance(step, Wait):
                self._stop.wait(step.seconds)
            elif step is Step.READ:
                try:
                    player.receive_data(sock.recv(READ))
                except ConnectionError:
                    player.receive_data(b"")
            elif step is Step.TLS:
                sock = self._wrap(sock)
                player.tls_started()
            else:
                return sock

    def _wrap(self, sock: socket.socket) -> socket.socket:
        raise NotImplementedError

    def _close(self, player: Player, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            if player.next_step() is Step.RESET:
                linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(LINGER)
            while sock.recv(READ):
                pass

    def _start(self) -> None:
        raise NotImplementedError

    def _join(self, failed: bool) -> None:
        raise NotImplementedError

    def _finish(self, error: BaseException | None) -> None:
        if error is not None:
            self._stop.set()
        self._join(error is not None)
        raised = [*self._failures, *map(ScriptDiffers, self._differences)]
        if not raised:
            return
        if error is None:
            raise raised[0]
        error.add_note(str(raised[0]))

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._finish(error)

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await in_thread(partial(self._finish, error))


@final
class ScriptedServer(_Playing):
    """A script that plays the server at a loopback socket: see :meth:`Script.listen`."""

    host: Final = HOST

    def _start(self) -> None:
        self._came = Event()
        self._listener = Listener(self._play)

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return self._listener.port

    @property
    def certificate(self) -> Certificate:
        """The certificate of ``--starttls``."""
        from smtpwire.testing.certificates import certificate

        return certificate()

    def _play(self, sock: socket.socket) -> None:
        self._came.set()
        self.play(sock)

    def _wrap(self, sock: socket.socket) -> socket.socket:
        return self.certificate.server_context().wrap_socket(sock, server_side=True)

    def _join(self, failed: bool) -> None:
        self._listener.close(wait=not failed)
        if not self._came.is_set():
            self._differences.append("the client differs from the script: it did not connect")


@final
class ScriptedClient(_Playing):
    """A script that plays the client at a socket: see :meth:`Script.connect`."""

    def __init__(self, script: Script, host: str, port: int, timeout: float) -> None:
        super().__init__(script, timeout)
        check_port("port", checked("port", port, int))
        self._host, self._port = checked("host", host, str), port

    def _start(self) -> None:
        sock = socket.create_connection((self._host, self._port), self._timeout)
        self._socket = sock
        self._thread = Thread(target=self.play, args=(sock,), daemon=True)
        self._thread.start()

    def _wrap(self, sock: socket.socket) -> socket.socket:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # what a script trusts is not its subject
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(sock)

    def _join(self, failed: bool) -> None:
        if failed:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
