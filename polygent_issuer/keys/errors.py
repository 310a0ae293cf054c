"""Errors of key stores and of keys; each code names one thing to put right.

All end a command with exit 6, except those that refuse what was typed (exit 3).
"""

from polygent_issuer.errors import InputRefused, KeyUnavailable, OutputProblem


class NoSuchKey(KeyUnavailable):
    """The store answers, and has no such key."""

    code = "no_such_key"


class KeyringLocked(KeyUnavailable):
    """The keyring is there and locked; whoever owns it did not unlock it."""

    code = "keyring_locked"


class KeyringAbsent(KeyUnavailable):
    """This session has no keyring that keys may be kept in."""

    code = "keyring_absent"


class KeyringTimeout(KeyUnavailable):
    """The keyring did not answer before the deadline."""

    code = "keyring_timeout"


class KeyringFailed(KeyUnavailable):
    """The keyring answered with an error of its own."""

    code = "keyring_failed"


class UnsafeBackend(KeyUnavailable):
    """A keyring backend that is not on the list, or that the environment has bent."""

    code = "unsafe_backend"


class NotKept(KeyUnavailable):
    """What was saved did not come back as it was: the key is not recorded."""

    code = "not_kept"


class WrongPassphrase(KeyUnavailable):
    """The passphrase does not open the key, or the file is damaged where it would show."""

    code = "wrong_passphrase"


class PassphraseNeeded(KeyUnavailable):
    """A passphrase is needed, none was given, and there is nobody to ask."""

    code = "passphrase_needed"


class PassphraseRefused(KeyUnavailable):
    """A passphrase that cannot be used or could not be had: empty, too long, typed differently."""

    code = "passphrase_refused"


class KeyDamaged(KeyUnavailable):
    """The store gives something that is no key in a format of ours."""

    code = "key_damaged"


class KeyMismatch(KeyUnavailable):
    """The store gives a sound key, but not the one that is pinned."""

    code = "key_mismatch"


class PlaintextKey(KeyUnavailable):
    """A key file without a passphrase: refused as a store."""

    code = "plaintext_key"


class UnsupportedKey(KeyUnavailable):
    """A private key of another kind than P-256, or wrapped in a way that is refused."""

    code = "unsupported_key"


class TokenLibraryMissing(KeyUnavailable):
    """The library that speaks PKCS#11 is not installed; few need it."""

    code = "token_library_missing"


class ModuleUnusable(KeyUnavailable):
    """The PKCS#11 module cannot be loaded, is none, or lies where anybody may exchange it."""

    code = "module_unusable"


class TokenAbsent(KeyUnavailable):
    """The module shows no such token."""

    code = "token_absent"


class TokenAmbiguous(KeyUnavailable):
    """Several tokens match the URI."""

    code = "token_ambiguous"


class KeyAmbiguous(KeyUnavailable):
    """Several keys of the token match the URI."""

    code = "key_ambiguous"


class PinIncorrect(KeyUnavailable):
    """The token refused the PIN; it was given once and will not be given again."""

    code = "pin_incorrect"


class PinLocked(KeyUnavailable):
    """The token has locked its user PIN after too many wrong ones."""

    code = "pin_locked"


class PinFinalTry(KeyUnavailable):
    """One more wrong PIN would lock the token, so none is given."""

    code = "pin_final_try"


class PinNotSet(KeyUnavailable):
    """The token has no user PIN yet, or one that has to be changed first."""

    code = "pin_not_set"


class TokenRemoved(KeyUnavailable):
    """The token went away while it was in use."""

    code = "token_removed"


class TokenReadOnly(KeyUnavailable):
    """The token takes no new keys."""

    code = "token_read_only"


class TokenTimeout(KeyUnavailable):
    """The module did not answer before the deadline."""

    code = "token_timeout"


class TokenFailed(KeyUnavailable):
    """The module answered with an error of its own."""

    code = "token_failed"


class MechanismMissing(KeyUnavailable):
    """The token cannot do what is asked of it: ECDSA on P-256, or making a key."""

    code = "mechanism_missing"


class NotExtractable(KeyUnavailable):
    """A private key that never leaves its token, so there is no copy of it."""

    code = "not_extractable"


class ExampleKey(KeyUnavailable):
    """The published throw-away key: anybody can sign with it."""

    code = "example_key"


class RetiredKey(KeyUnavailable):
    """A key that signs no more."""

    code = "key_retired"


class CompromisedKey(KeyUnavailable):
    """A key that others may hold."""

    code = "key_compromised"


class KeySigns(InputRefused):
    """The key that signs is not retired while it does: nothing could be signed."""

    code = "key_signs"


class BackupFailed(OutputProblem):
    """The key is in the keyring and recorded; its backup alone could not be written.

    From a file or a token the key is removed again, and the error is that of the backup's file.
    """

    code = "backup_failed"
