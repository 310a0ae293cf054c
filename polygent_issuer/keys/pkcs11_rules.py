"""What is special about a key in a token: it has no copy, and its PIN is a secret of its own."""

from collections.abc import Sequence

from polygent_issuer import store_uri
from polygent_issuer.errors import InvalidStore, UsageProblem
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.errors import NotExtractable
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.pkcs11_store import Pkcs11Store
from polygent_issuer.store_uri import TokenUri
from polygent_issuer.text import escape


def is_in_token(store: str) -> bool:
    """Whether a store URI means a token.

    Raises:
        InvalidStore: (`invalid_store`) for what is no key store.
    """
    return isinstance(store_uri.parse(store), TokenUri)


def check_new_key_uri(store: str) -> None:
    """Refuse to make a key where the URI points at one in particular.

    Raises:
        InvalidStore: (`invalid_store`) likewise.
    """
    place = store_uri.parse(store)
    if isinstance(place, TokenUri) and place.names_a_key:
        raise InvalidStore(
            "this store names one key in a token, and a new key gets a name of its own",
            hint=Hint(
                "leave out object and id; or, for a key that is in the token already: ",
                run("key", "import", place.uri),
            ),
        )


def backup_impossible_new(store: str) -> NotExtractable:
    """The refusal of a backup for a key that is made in a token."""
    return NotExtractable(
        "a key that is made in a token never leaves it, so it has no backup",
        hint=Hint(
            "say --no-backup; or, to have a backup, make it in a file first and put it into the "
            "token then: ",
            run(
                "key",
                "generate",
                "LABEL",
                "--store",
                store_uri.EXAMPLE_FILE_URI,
                "--backup",
                "FILE",
            ),
            "; ",
            run("key", "import", "FILE", "--store", store),
        ),
    )


def backup_impossible_existing(label: str) -> NotExtractable:
    """The refusal of a backup for a key that is in a token."""
    return NotExtractable(
        f"the key {escape(label)} is in a token, which does not give it away: there is no backup "
        "to be made of it",
        hint=Hint(
            "be ready for its loss with a second key that the servers know, too: ",
            run(
                "key",
                "generate",
                "spare",
                "--store",
                store_uri.EXAMPLE_FILE_URI,
                "--backup",
                "FILE",
            ),
        ),
    )


def require_ready(settings: Settings, place: TokenUri) -> None:
    """Refuse a token that cannot be had or unlocked, before anybody is asked anything.

    Raises:
        KeyUnavailable: each code of `Pkcs11Store.require_ready`.
    """
    Pkcs11Store(
        place,
        passphrase=passphrases.absent(),
        timeout=settings.keyring_timeout,
        warn=lambda _: None,
    ).require_ready()


def require_secret_for_token(passphrase: Passphrase, others: Sequence[str]) -> None:
    """Refuse to give a token the secret of something else as its PIN: it would count as wrong.

    Args:
        passphrase: as the command line gave it.
        others: what else needs a secret in the same command: file, backup.

    Raises:
        UsageProblem: (`usage`) when one secret would have to serve for both.
    """
    if others and passphrases.is_shared(passphrase):
        raise UsageProblem(
            f"the {others[0]}'s passphrase and the token's PIN are two secrets; one was given",
            hint="run it on a terminal without --passphrase-fd, --passphrase-file, "
            "--passphrase-command and POLYGENT_ISSUER_PASSPHRASE_FILE: it asks for each"
            + ("; or say --no-backup" if others == ["backup"] else ""),
        )
