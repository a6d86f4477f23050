"""``python -m smtpwire``: a demonstration, a debugging server, a client."""

from __future__ import annotations

from smtpwire.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
