"""Alarm: a timer of the operating system that interrupts this process's main thread, also in C that holds everything.

It sends SIGURG, which does nothing to a process that does not wait for it (Go's runtime takes it for the same purpose).
Where somebody else listens to SIGURG, and where there is no such timer (macOS, Windows), there is no alarm.
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

AGAIN_NANOSECONDS: Final = 50_000_000
"""It rings again so often until it is set anew."""

_CLOCK_MONOTONIC: Final = 1
_SIGEV_THREAD_ID: Final = 4
_ABSOLUTE: Final = 1

Ring = Callable[[FrameType | None], None]


class _Event(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_byte * 44),
    )


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


class Alarm:
    """An alarm for the main thread; made in it.

    Args:
        ring: Is called in the main thread, in the middle of whatever runs there, with its frame; it may raise.

    Raises:
        OSError: There is no such timer here, or SIGURG is taken.
    """

    def __init__(self, ring: Ring) -> None:
        if not sys.platform.startswith("linux") or signal.getsignal(signal.SIGURG) is not signal.SIG_DFL:
            raise OSError("no alarm")
        self.ring = ring
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _Event(None, signal.SIGURG, _SIGEV_THREAD_ID, threading.main_thread().native_id or 0)
        if self._libc.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        signal.signal(signal.SIGURG, self._on_signal)

    @property
    def working(self) -> bool:
        """Whether SIGURG is still ours."""
        return signal.getsignal(signal.SIGURG) == self._on_signal

    def set(self, at: float) -> None:
        """Ring at a time of `time.monotonic()`, and from then on until it is set anew; infinite: never."""
        value, again = _Time(0, 0), _Time(0, 0)
        if at != float("inf"):
            value, again = _Time(int(at), max(1, int(at % 1 * 1e9))), _Time(0, AGAIN_NANOSECONDS)
        self._libc.timer_settime(self._timer, _ABSOLUTE, ctypes.byref(_Setting(again, value)), None)

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        self.ring(frame)
