"""The one exception of both engines."""

__all__ = ["LocalProtocolError"]


class LocalProtocolError(Exception):
    """The application asked for what the protocol or the policy does not allow now.

    Nothing has changed: the connection is as it was before the call, and usable. A peer's
    mistakes never raise; they are events.
    """
