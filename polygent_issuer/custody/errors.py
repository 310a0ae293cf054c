"""Why a key that is there may not sign, may not be retired, or has no backup."""

from polygent_issuer.errors import InputRefused, KeyUnavailable, OutputProblem


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
    """The key is kept in the keyring and recorded; its backup alone could not be written.

    Out of a file or a token it is taken back, and the error is the one of the backup's file.
    """

    code = "backup_failed"
