"""h11 in the server's role: one request without a body, one response with a short one."""

import h11

__all__ = ["cycles"]

_REQUEST = (
    b"GET /inbox/1 HTTP/1.1\r\n"
    b"Host: www.example.org\r\n"
    b"User-Agent: client/1.0 (benchmark)\r\n"
    b"Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-GB,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate\r\n"
    b"Connection: keep-alive\r\n"
    b"\r\n"
)
_BODY = b"x" * 1024
_HEADERS = [
    (b"Date", b"Mon, 06 Jul 2026 09:00:00 GMT"),
    (b"Server", b"server/1.0"),
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Content-Length", b"1024"),
]


def cycles(count: int) -> None:
    """Serve so many requests on one connection."""
    connection = h11.Connection(h11.SERVER)
    for _ in range(count):
        connection.receive_data(_REQUEST)
        request = connection.next_event()
        end = connection.next_event()
        response = h11.Response(status_code=200, headers=_HEADERS)
        out = [
            connection.send(response),
            connection.send(h11.Data(data=_BODY)),
            connection.send(h11.EndOfMessage()),
        ]
        connection.start_next_cycle()
    if type(request) is not h11.Request or type(end) is not h11.EndOfMessage or None in out:
        raise RuntimeError("h11 did not serve the request")
