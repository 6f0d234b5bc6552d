"""The live page: one HTML file that reads ``/v1/status`` each second and can change nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from starlette.responses import Response

_FILE = Path(__file__).with_name("page.html")


def page() -> Response:
    """The page, with a policy under which its own script and style run and no other."""
    text = _FILE.read_text(encoding="utf-8")
    policy = "; ".join(
        (
            "default-src 'none'",
            "connect-src 'self'",
            f"script-src {_digest('script', text)}",
            f"style-src {_digest('style', text)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    headers = {"content-security-policy": policy, "referrer-policy": "no-referrer"}
    return Response(text, headers=headers, media_type="text/html")


def _digest(tag: str, text: str) -> str:
    """The hash source of the one element of this kind."""
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
