"""The adapters' log, whose own trouble ends no session and no server."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress
from typing import Any, Final, final

__all__ = ["logger"]


@final
class _Log(logging.LoggerAdapter[logging.Logger]):
    """What a handler or a filter of the log raises is shown as the library's handlers show it."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        try:
            super().log(level, msg, *args, stacklevel=2, **kwargs)
        except Exception:
            if logging.raiseExceptions and sys.stderr:
                with suppress(OSError):
                    traceback.print_exc()

    def __reduce__(self) -> str:
        return "logger"  # one that is copied is the same, as a Logger is


logger: Final = _Log(logging.getLogger("smtpwire"))
