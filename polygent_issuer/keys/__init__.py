"""Signing keys: where private keys are, how they sign, and how keys begin and end.

Making or importing a key has one order: the private key is saved and read back, then its backup is
written and read back, then its store URI goes into the operator's settings, and last the public key
is pinned in the registry with its journal row, in one commit. A crash in between leaves at most a
private key that nothing names; never a pinned key without a private key.

When the backup fails, the private key is removed again from a file or a token, nothing is recorded,
and the same command can be repeated. Nothing is removed from a keyring: such a key is recorded
without its backup, which the error and `doctor` report.
"""
