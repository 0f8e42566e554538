"""Processes that end with their parent."""

from __future__ import annotations

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with_parent() -> None:
    """In a child: be told to stop when the parent is gone, however it went. Linux only; elsewhere nothing happens.

    A parent that is killed cannot tell its children; they would keep ports taken and go on with work nobody wants.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
