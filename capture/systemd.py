"""What a service tells systemd: https://www.freedesktop.org/software/systemd/man/sd_notify.html"""

from __future__ import annotations

import os
import socket


def sd_notify(state: str) -> bool:
    """Send a state such as ``READY=1``, ``WATCHDOG=1``, ``STOPPING=1`` or ``STATUS=two cameras``.

    Returns:
        Whether there is a systemd that waits for it, and it could be told.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
        try:
            end.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return False
    return True


def watchdog_interval_s() -> float | None:
    """How often to send ``WATCHDOG=1``: half of what the unit allows; None where it sets no watchdog."""
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(allowed_us) / 2e6 if allowed_us.isdigit() and int(allowed_us) and is_ours else None
