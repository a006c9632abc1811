"""Where an MQTT broker is, and who we are to it: ``mqtt[s]://[user[:password]@]host[:port]/topic``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from typing_extensions import Self

from catseye.errors import InputError, UsageError

PASSWORD = "CATSEYE_MQTT_PASSWORD"
PASSWORD_FILE = "CATSEYE_MQTT_PASSWORD_FILE"
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_FORM = "write mqtt[s]://[user@]host[:port]/topic"


@dataclass(frozen=True)
class MqttAddress:
    """A broker and the topic that all of ours are below.

    Args:
        encrypted: whether it is spoken to over TLS.
        user, password: None where it asks for none.
    """

    host: str
    port: int
    topic: str
    encrypted: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """The address that a URL writes.

        A password that the URL leaves out is taken from the file that ``CATSEYE_MQTT_PASSWORD_FILE`` names,
        or from ``CATSEYE_MQTT_PASSWORD``, so that no list of processes shows it. What no URL may hold is
        written with percent signs.

        Raises:
            UsageError: it is none, or the topic cannot be published under.
            InputError: the file with the password cannot be read.
        """
        shown = re.sub("//.*@", "//", url)  # whatever a password that is not escaped may hold
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise UsageError(f"mqtt is {shown}: the port is no number up to 65535; {_FORM}") from None
        if parts.scheme not in _PORTS or not parts.hostname or port == 0 or "@" in parts.path:
            raise UsageError(f"mqtt is {shown}: that is no address of a broker; {_FORM}")
        topic = unquote(parts.path).strip("/")
        if not topic or {"?", "#"} & set(url) or {"+", "#", "\0"} & set(topic) or topic.startswith("$"):
            raise UsageError(f"mqtt is {shown}: it needs a topic, without + or #; {_FORM}")
        user = None if parts.username is None else unquote(parts.username)
        password = None if parts.password is None else unquote(parts.password)
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            topic=topic,
            encrypted=parts.scheme == "mqtts",
            user=user,
            password=_kept_password() if user is not None and password is None else password,
        )

    @property
    def shown(self) -> str:
        """Without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.encrypted else 'mqtt'}://{host}:{self.port}/{self.topic}"


def _kept_password() -> str | None:
    if not (path := os.environ.get(PASSWORD_FILE)):
        return os.environ.get(PASSWORD)
    try:
        return Path(path).read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({error})", f"it is what {PASSWORD_FILE} names") from None
