"""Where a message can go: a webhook of one's own, or any service that apprise knows."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Protocol

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.alerts.message import Message
from windtunnel.monitoring.alerts.rules import SinkSection


class Sink(Protocol):
    """Brings one message somewhere, once; raises when it did not arrive."""

    def send(self, message: Message, timeout: float) -> None:
        """Try for at most about `timeout` seconds."""


class Webhook:
    """POSTs a message as JSON: title, body, and the notices with all their fields.

    Parameters
    ----------
    url : str
        http or https. Redirects are followed by `urllib`; anything but 2xx is a failure.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise MonitoringError(
                f"sink url: must begin with http:// or https://, got {url[:40]!r}",
                "Give the address that takes the POST",
            )
        self._url = url

    def send(self, message: Message, timeout: float) -> None:
        """POST once; an answer outside 2xx, or none, raises OSError."""
        body = json.dumps(message.as_record()).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
            self._url, data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310 - as above
            answer.read(1)


class Apprise:
    """Hands a message to apprise, which knows some hundred services by their URL.

    Raises
    ------
    MonitoringError
        apprise is not installed, or the URL is of no service that it knows.
    """

    def __init__(self, url: str) -> None:
        try:
            import apprise  # noqa: PLC0415 - an extra
        except ModuleNotFoundError:
            raise MonitoringError(
                "sink kind 'apprise' needs apprise, which is not installed",
                "Install it with `pip install 'windtunnel[alerts]'`",
            ) from None
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            scheme = url.partition(":")[0]
            raise MonitoringError(
                f"sink url: apprise knows no service for {scheme}://...",
                "See https://appriseit.com/services for the form of each",
            )

    def send(self, message: Message, timeout: float) -> None:  # noqa: ARG002 - the URL has its own
        """Notify once; OSError when apprise says that it did not work."""
        kinds = {"info": "info", "warning": "warning", "critical": "failure"}
        first = message.notices[0]
        kind = "success" if first.state == "resolved" else kinds[first.severity]
        if not self._apprise.notify(title=message.title, body=message.body, notify_type=kind):
            raise OSError("apprise could not deliver the message")


def make_sink(section: SinkSection) -> Sink:
    """Build the sink that a section describes.

    Raises
    ------
    MonitoringError
        The URL is of no use, its environment variable is not set, or apprise is missing.
    """
    url = section.url
    if url.startswith("env:"):
        name = url.removeprefix("env:")
        url = os.environ.get(name, "")
        if not url:
            raise MonitoringError(
                f"sink {section.name!r}: the environment variable {name} is not set",
                "Set it to the sink's URL",
            )
    return Webhook(url) if section.kind == "webhook" else Apprise(url)
