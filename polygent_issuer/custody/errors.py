"""Why a key that is there may not sign."""

from polygent_issuer.errors import KeyUnavailable


class ExampleKey(KeyUnavailable):
    """The published throw-away key: anybody can sign with it."""

    code = "example_key"


class RetiredKey(KeyUnavailable):
    """A key that signs no more."""

    code = "key_retired"


class CompromisedKey(KeyUnavailable):
    """A key that others may hold."""

    code = "key_compromised"
