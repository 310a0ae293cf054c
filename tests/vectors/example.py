"""The files of `keys.example/`: a throw-away key pair and a license that it signed."""

import json
from typing import Final

from vectors.key_cases import private_pem, spki_pem
from vectors.signing import EXAMPLE, FINGERPRINT, file, payload

_EXP: Final = 4_102_444_800  # 2100-01-01T00:00:00Z, so all of 2099-12-31 is covered

_WARNING: Final = b"""\
THROW-AWAY EXAMPLE KEY. It is published: anyone can sign with it.
Never sign a customer's license with it; verifiers refuse its kid.

"""

_README: Final = f"""\
A throw-away key pair for trying things out and for tests; it is published, so it proves nothing.
`KeySet` refuses its kid, `{EXAMPLE.kid}`, unless `allow_example=True`.
`example.lic` is a standard license for the machine of `machine-info.json`, to the end of 2099.
Here, `polygent-issue verify example.lic --public-key jwks.json --machine-info machine-info.json`.
`python tests/vectors/make.py --write` writes this folder; do not edit it.
"""


def files() -> dict[str, bytes]:
    """Return the files of the folder by name."""
    machine = {
        "format": "polygent-machine-info/1",
        "fingerprint": FINGERPRINT,
        "generatedAt": "2026-01-01T00:00:00Z",
        "hostname": "example-server",
        "os": "linux",
        "productVersion": "1.0.0",
        "customer": "Example GmbH",
    }
    return {
        "private.pem": _WARNING + private_pem(),
        "public.pem": spki_pem(),
        "jwks.json": _text({"keys": [EXAMPLE.jwk]}),
        "machine-info.json": _text(machine),
        "example.lic": file(payload(exp=_EXP)),
        "README.md": _README.encode(),
    }


def _text(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
