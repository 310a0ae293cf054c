"""The pretended server's identity, and the `machine-info.json` that it gives out (FORMAT §4)."""

import json
import secrets
from datetime import datetime


def another_fingerprint() -> str:
    """The fingerprint of a machine that nobody has seen."""
    return f"sha256:{secrets.token_hex(32)}"


def machine_info(fingerprint: str, *, now: datetime, customer: str | None) -> bytes:
    """The document of *Download machine info*; UTF-8, ends with a newline.

    Args:
        now: when it is downloaded, UTC; the operator's freshness counts from here.
        customer: as the installed license has it, if any.
    """
    fields = {
        "format": "polygent-machine-info/1",
        "fingerprint": fingerprint,
        "generatedAt": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "hostname": "polygent-sandbox",
    }
    if customer is not None:
        fields["customer"] = customer
    return (json.dumps(fields, ensure_ascii=False, indent=2) + "\n").encode()
