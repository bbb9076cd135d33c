"""Logs: no record of this process's log holds one of its secrets, whichever library writes it (guide: G2)."""

import logging
import threading
from typing import Any, Final

from guards.scan.registered import finder

_lock = threading.Lock()
_MARK: Final = "interlock_hides_secrets"
_plain = logging.Formatter()


def hide_in_logs() -> None:
    """Let every record that is made from now on hide them, in its text, its values and its traceback.

    Records are made by a factory of the logging module's, which this one goes around; a factory that somebody sets
    later goes around it in turn.
    """
    with _lock:
        made = logging.getLogRecordFactory()
        if getattr(made, _MARK, False):
            return

        def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
            return _hidden(made(*args, **kwargs))

        setattr(record, _MARK, True)
        logging.setLogRecordFactory(record)


def _hidden(entry: logging.LogRecord) -> logging.LogRecord:
    own = finder()
    if own.longest:
        text = _text_of(entry)
        if (shown := own.hide(text)) != text:
            entry.msg, entry.args = shown, ()
        if entry.exc_info and entry.exc_info[0] is not None:
            entry.exc_text = own.hide(_plain.formatException(entry.exc_info))
    return entry


def _text_of(entry: logging.LogRecord) -> str:
    try:
        return entry.getMessage()
    except Exception:  # logging tells of it when the record is written
        return f"{entry.msg} {entry.args}"
