"""The published example key (`keys.example/`), for who tries the sandbox without a key."""

from typing import Final

from polygent_issuer.verifier import Key, KeySet

EXAMPLE: Final = KeySet.of(
    Key.from_jwk(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MJMYDekrXvlfaKtp0rtjnyAxcK2hYX2NkWmWWNQbS4w",
            "y": "w3wTuwwbXsy1kdIji5mBD-RBvSAgtrTiKqZcP2z4Cis",
        },
        allow_example=True,
    ),
    allow_example=True,
)
"""It proves nothing: everybody has its private half."""
