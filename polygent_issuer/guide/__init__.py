"""The guide: one Markdown file for each topic, shown by `polygent-issue help TOPIC`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

TOPICS: Final[Mapping[str, str]] = {
    "getting-started": "From an empty machine to a first license.",
    "licenses": "Sign, renew, reissue, send and check licenses.",
    "customers": "Customers and their machines; merge and archive them.",
    "batches": "Renew many licenses, or apply a file of licenses.",
    "findings": "What needs your consent, and when.",
    "settings": "Every setting, with its default.",
    "keys": "Signing keys and where they are kept.",
    "team": "One registry in PostgreSQL for several operators; for its administrator.",
    "backup": "What to back up, where, and how to restore it.",
    "runbooks": "Step by step: a lost laptop, a leaked key, a moved server and more.",
    "troubleshooting": "Problems, in the words that a customer or the product uses.",
    "cron": "Unattended runs with cron or systemd.",
    "scripting": "JSON, exit codes, and what is stable.",
    "server": "Verify and enforce licenses in your server.",
    "sandbox": "See a license as your customer will.",
    "format": "The formats of license files, machine-info.json and public keys.",
    "enforcement": "The rules of a server with a license, for any language.",
    "reliability": "Behaviour under faults, speed, and tested platforms.",
    "development": "Tests, layout, the protocol of a change, adding a command.",
}
"""The topics in the order in which they are listed, with a line for each."""

_FOLDER: Final = Path(__file__).parent

FORMAT: Final = _FOLDER.parent / "verifier" / "FORMAT.md"
ENFORCEMENT: Final = _FOLDER.parent / "enforcement" / "ENFORCEMENT.md"
_ELSEWHERE: Final = {"format": FORMAT, "enforcement": ENFORCEMENT}

JSON_SCHEMA: Final = _FOLDER / "polygent-issue-1.schema.json"
"""The JSON Schema of what `--json` prints, with an entry in `$defs` for each command."""


def markdown(topic: str) -> str:
    """Return the text of a topic, which must be one of `TOPICS`."""
    path = _ELSEWHERE.get(topic, _FOLDER / f"{topic}.md")
    return path.read_text(encoding="utf-8")
