"""Signing keys: key stores, signers, passphrases, and the lifecycle of keys.

A key is generated or imported in this order:

1. The private key is saved in its store and read back.
2. Its backup is written and read back.
3. Its store URI is written into the operator's settings.
4. The public key is pinned in the registry with its journal row, in one commit.

A crash in between leaves at most a private key that no setting refers to. It never leaves a pinned
key without a private key.

When the backup fails, the private key is removed again from a file or a token and nothing is
recorded, so the same command can be repeated. Keyring entries are never removed: such a key is
recorded without its backup, which the error and `doctor` report.
"""
