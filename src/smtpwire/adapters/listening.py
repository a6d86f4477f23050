"""What the servers share: where they listen, and everything they have begun."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Final, Generic, Protocol, TypeAlias, TypeVar, final

from smtpwire.adapters.log import logger
from smtpwire.adapters.session import SessionFactory, checked_port, peer_of
from smtpwire.adapters.tls import Tls, TlsConfig, check_bound, check_service
from smtpwire.engine.events import Peer
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server_config import ServerConfig, serialise
from smtpwire.extensions import Profile
from smtpwire.operations.serve import who
from smtpwire.wire.checked import check_host, checked, seconds_left

__all__ = ["GRACE", "Connections", "Listening", "Service", "listen"]

C = TypeVar("C", bound=Hashable)

BACKLOG: Final = 1024
GRACE: Final = 30.0
"""Seconds for what is open when a server is to end."""
TRIES: Final = 9
"""How often a port is looked for that is free at all addresses of a host."""
PAUSE: Final = 0.1
"""Seconds before the next accept where the system has no room for a connection."""
QUIET: Final = 60.0
"""Seconds for which a complaint is not repeated in the log."""
GONE: Final = (
    *(errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR),
    *(errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO),
)
"""Before it was accepted, or never there: no trouble of the system's."""


Each: TypeAlias = tuple[SessionFactory, ServerConfig, TlsConfig | None]
"""What each connection is given."""


@final
class Service:
    """What ``start_server()`` was given, checked; and the sockets that listen.

    Raises OSError where the address cannot be had, TypeError and ValueError for what is none.
    """

    def __init__(
        self,
        session: SessionFactory,
        config: ServerConfig,
        tls: Tls | None,
        *,
        host: str | None,
        port: int,
        path: str | None,
        sock: socket.socket | None,
        reuse_port: bool,
        max_connections: int | None,
        max_connections_per_peer: int | None,
    ) -> None:
        self.config: ServerConfig = config
        self.each: Each = (session, config, check_service(session, config, tls))
        check_host("host", checked("host", host, str | None) or "")
        checked("path", path, str | None)
        check_bound(checked("sock", sock, socket.socket | None))
        checked("reuse_port", reuse_port, bool)
        if (host is not None) + (path is not None) + (sock is not None) > 1:
            raise TypeError("start_server() takes one of these: a host, path=, sock=")
        if reuse_port and not (path is None and sock is None):
            raise TypeError("start_server() takes reuse_port= with a host only")
        if path == "":  # at a name of its own choice Linux would listen, which nobody knows
            raise ValueError("path is empty: pass the name of a socket file")
        if host == "":
            raise ValueError("host is empty: pass a name or an address, or None for all addresses")
        checked_port(port, 0)
        self.most: int | None = _checked_most("max_connections", max_connections)
        self.most_of_peer: int | None = _checked_most(
            "max_connections_per_peer", max_connections_per_peer
        )
        self.listeners: list[socket.socket] = listen(
            host, port, path=path, sock=sock, reuse_port=reuse_port
        )


def _checked_most(name: str, most: int | None) -> int | None:
    checked(name, most, int | None)
    if most is not None and most < 1:
        raise ValueError(f"{name} is {most}: pass at least 1, or None for any number")
    return most


def listen(
    host: str | None,
    port: int,
    *,
    path: str | None = None,
    sock: socket.socket | None = None,
    reuse_port: bool = False,
) -> list[socket.socket]:
    """Sockets that listen: at a UNIX socket's path, at a socket of yours, else at all of a host.

    No host: all addresses of IPv4 and IPv6. Port 0: a free one, the same for all. A socket file
    that an earlier server has left is replaced. Raises OSError.
    """
    if sock is not None:
        listeners = [sock]
        sock.listen(BACKLOG)
    elif path is not None:
        listeners = [_listen_unix(path)]
    else:
        listeners = (
            _listen_ip(host, port, reuse_port) if port else _listen_anywhere(host, reuse_port)
        )
    for listener in listeners:
        listener.setblocking(False)
    return listeners


def _listen_unix(path: str) -> socket.socket:
    with suppress(FileNotFoundError):
        if not path.startswith("\0") and stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    return socket.create_server(path, family=socket.AF_UNIX, backlog=BACKLOG)


def _listen_anywhere(host: str | None, reuse_port: bool) -> list[socket.socket]:
    """At a port that is free at all addresses: the first one's choice may be taken at another."""
    for _ in range(TRIES):
        try:
            return _listen_ip(host, 0, reuse_port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return _listen_ip(host, 0, reuse_port)


def _listen_ip(host: str | None, port: int, reuse_port: bool) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    missing: OSError | None = None
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                listeners.append(
                    socket.create_server(
                        (address[0], port, *address[2:]),
                        family=family,
                        backlog=BACKLOG,
                        reuse_port=reuse_port,
                    )
                )
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error  # a family that this machine does not have
            else:
                port = listeners[0].getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    if missing is not None and not listeners:
        raise missing
    return listeners


@final
class Connections(Generic[C]):
    """Everything a server has begun, from accept to the end of the last handler.

    ``most``, ``most_of_peer``: how many may be open at once, in all and of one address; None:
    as many as come. A trusted proxy's are counted in all only, and those of a UNIX socket.
    """

    def __init__(self, config: ServerConfig, most: int | None, most_of_peer: int | None) -> None:
        self._config, self._most, self._most_of_peer = config, most, most_of_peer
        self._open: dict[C, Peer] = {}
        self._of_peer: Counter[str] = Counter()
        self._lock = Lock()
        self._emptied: list[Callable[[], object]] = []
        self._complained: dict[str, float] = {}

    def __iter__(self) -> Iterator[C]:
        return iter(tuple(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def peer_of(self, connection: C) -> Peer:
        """Who connected."""
        return self._open.get(connection, Peer())

    def accept(
        self, listener: socket.socket, make: Callable[[socket.socket, Peer], C]
    ) -> tuple[C, socket.socket] | float:
        """Who waits there, made and entered; or how many seconds to wait before the next try."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            return self.pause_after(error)
        sock.setblocking(False)
        with suppress(OSError):  # a UNIX socket has no Nagle
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = peer_of(address)
        try:
            connection = make(sock, peer)
        except Exception as error:  # the system has no room for it
            self.refuse(sock, peer, str(error))
            return self.pause_after(error)
        return (connection, sock) if self.admit(connection, peer, sock) else 0.0

    def admit(self, connection: C, peer: Peer, sock: socket.socket) -> bool:
        """Enter what was just accepted; False where that is too many: it was refused and closed."""
        with self._lock:
            proxy = "PROXY" in self._config.trusted(peer.address)
            of_peer = 0 if proxy else self._of_peer[peer.address]
            if not (_reached(self._most, len(self._open)) or _reached(self._most_of_peer, of_peer)):
                self._open[connection] = peer
                self._of_peer[peer.address] += bool(peer.address)
                return True
        self.refuse(sock, peer, "too many connections")
        return False

    def refuse(self, sock: socket.socket, peer: Peer, reason: str) -> None:
        """421 and close, where there is no TLS before it (RFC 5321 §3.8)."""
        self._complain(f"{who(peer)} refused", reason)
        with sock, suppress(OSError):
            if self._config.profile is not Profile.SUBMISSIONS:
                sock.send(
                    serialise(self._config.texts[ReplyKind.TOO_MANY_CONNECTIONS], enhanced=False)
                )

    def leave(self, connection: C) -> None:
        """It is over."""
        with self._lock:
            peer = self._open.pop(connection, None)
            if peer is not None and peer.address:
                self._of_peer[peer.address] -= 1
                if not self._of_peer[peer.address]:
                    del self._of_peer[peer.address]
        self._tell_if_empty()

    def when_empty(self, call: Callable[[], object]) -> None:
        """Call this when the last one is over: now, where none is left."""
        with self._lock:
            self._emptied.append(call)
        self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        """Call each once, whichever thread comes first."""
        calls: list[Callable[[], object]] = []
        with self._lock:
            if not self._open:
                calls, self._emptied = self._emptied, []
        for call in calls:
            call()

    def pause_after(self, error: Exception) -> float:
        """Seconds to wait after an accept, or a thread's start, that failed."""
        if isinstance(error, OSError) and error.errno in GONE:
            return 0.0
        self._complain("cannot take a connection", str(error))
        return PAUSE

    def _complain(self, what: str, reason: str) -> None:
        now = monotonic()
        if now - self._complained.get(reason, -QUIET) >= QUIET:
            self._complained[reason] = now
            logger.warning("%s: %s", what, reason)


class Served(Hashable, Protocol):
    """A session of a server, as the server sees it."""

    @property
    def is_current(self) -> bool:
        """It is a handler of this session that asks."""

    def shutdown(self) -> None:
        """421, once the pending question is answered."""

    def cut(self) -> None:
        """Drop the connection, and cancel its handler where that can be."""


S = TypeVar("S", bound=Served)


class Listening(Generic[S]):
    """What every server is, whatever its loop: listening sockets, and what they have begun."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._listeners = service.listeners
        self._connections: Connections[S] = Connections(
            service.config, service.most, service.most_of_peer
        )

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets: their addresses by ``getsockname()``."""
        return tuple(self._listeners)

    @property
    def sessions(self) -> tuple[S, ...]:
        """What is open, from accept to the end of the last handler."""
        return tuple(self._connections)

    def _check_shutdown(self, grace: float) -> float:
        """The seconds that are left: none where their time is over. Raises before anything ends.

        A handler that waited for the end of its server would wait for its own.
        """
        if any(session.is_current for session in self._connections):
            raise RuntimeError(
                "a handler cannot wait for its own server's end:"
                " call shutdown() in another task or thread, or end the session alone"
            )
        return seconds_left("grace", grace)

    def _listen_no_more(self, forget: Callable[[socket.socket], object]) -> None:
        while self._listeners:
            listener = self._listeners.pop()
            forget(listener)
            listener.close()

    def _end_sessions(self, empty: Callable[[], object]) -> None:
        """End each with 421; ``empty`` is called when none is left."""
        self._connections.when_empty(empty)
        for session in self._connections:
            session.shutdown()

    def _cut(self) -> tuple[Peer, ...]:
        """Drop what is left: whose it was."""
        left = tuple(self._connections)
        peers = tuple(map(self._connections.peer_of, left))
        for session in left:
            session.cut()
        return peers


def _reached(most: int | None, count: int) -> bool:
    return most is not None and count >= most
