"""Text from a record, made safe to show: names in records are data, whoever wrote them."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([\\`*_\[\]|~@#!$])")


def markdown(text: str) -> str:
    """Return one line as Markdown, and HTML inside it, that shows just that line: no markup, no link, no mention."""
    import html

    return _SPECIAL.sub(r"\\\1", html.escape(text, quote=False)).replace("://", "&#58;//").replace("www.", "www&#46;")


def workflow_command(level: str, title: str, text: str) -> str:
    """Return a workflow command of GitHub Actions that annotates: `error`, `warning` or `notice`."""
    data = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    value = title.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={value}::{data}"
