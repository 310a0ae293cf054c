"""`polygent-issue key import`: a private key from elsewhere, or from its backup."""

from typing import Annotated

from polygent_issuer import files, store_uri
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows import key_storage
from polygent_issuer.cli.options.common import PassphraseOptions, argument, option, source
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.keys.lifecycle import check_importable, pinned_as, read_private_key
from polygent_issuer.keys.passphrases import Passphrase, or_terminal
from polygent_issuer.keys.pkcs11_store import is_in_token, require_ready, require_secret_for_token
from polygent_issuer.keys.signing import place_of
from polygent_issuer.text import escape

_LIMIT = 16 * 1024


def _adopt(
    invocation: Invocation,
    uri: str,
    label: str | None,
    storage: key_storage.StorageOptions,
    passphrase: Passphrase,
) -> Report:
    """Pin the public key of a private key that stays in its token, or in a file that is mounted."""
    if storage.store is not None or storage.backup is not None:
        option = "--backup" if storage.store is None else "--store"
        raise UsageProblem(
            f"a key that is named by its place stays there, so {option} has no meaning for it",
            hint=f"leave out {option}; or name its file without file: to have it copied",
        )
    settings, place = key_storage.current_settings(invocation), store_uri.parse(uri)
    assert not isinstance(place, store_uri.KeyringLocation)  # noqa: S101 - it has no such URI
    key_storage.known_keys(invocation)  # refuses a home that cannot be used
    if isinstance(place, store_uri.TokenUri):
        require_ready(settings, place)
    lifecycle = key_storage.key_lifecycle(invocation, passphrase, store=uri, backup=None)
    return key_storage.stored_key(lifecycle.adopt(place, label=label), "took in")


def import_private(
    invocation: Invocation,
    key_file: Annotated[
        str, argument("FILE", "PKCS#8, SEC1 or OpenSSH; - is stdin; or a pkcs11: or file: URI.")
    ],
    label: Annotated[str | None, option("--label", "LABEL", "What to call a new key.")] = None,
    *,
    storage: key_storage.StorageOptions,
    passphrases: PassphraseOptions,
) -> Report:
    """Take in a private key: one from elsewhere, a backup, or a second operator's copy.

    A key that the registry knows keeps its label. FILE may be encrypted; its passphrase then is
    the one of the new key file, too, unless a terminal is asked. FILE itself is left as it is. A
    pkcs11: or file: URI instead names a key that stays where it is: in a token, or in a file that
    a container has mounted.
    """
    passphrase = source(invocation, passphrases)
    if store_uri.is_token_uri(key_file) or key_file.startswith(store_uri.FILE):
        return _adopt(invocation, key_file, label, storage, passphrase)
    settings = key_storage.current_settings(invocation)
    retry = key_storage.RetryCommand(
        command="key import",
        argument=key_file,
        label=label,
        storage=storage,
        passphrases=passphrases,
    )
    key_storage.require_backup(retry)
    data = files.read_unmarked(key_file, limit=_LIMIT, what="private key")
    if warning := files.secret_warning(key_file, what="private key"):
        invocation.warn(warning)
    known = key_storage.known_keys(invocation)
    imported = read_private_key(data, passphrase)
    name = check_importable(imported.kid, label, known)
    store = storage.store or place_of(settings, imported.kid)
    key_storage.require_store(settings, store, retry)
    # The file of a pinned key is a backup already.
    wants_backup = pinned_as(imported.kid, known) is None or storage.backup is not None
    backup = key_storage.backup_path(invocation, settings, storage) if wants_backup else None
    if is_in_token(store):
        others = (not imported.plaintext, "file"), (backup is not None, "backup")
        require_secret_for_token(passphrase, [what for needed, what in others if needed])
    if invocation.interactive and not imported.plaintext:
        passphrase = or_terminal(passphrase)  # it opened FILE, but may be none for a new file
    lifecycle = key_storage.key_lifecycle(invocation, passphrase, store=store, backup=backup)
    stored = lifecycle.import_key(imported, label=name, store_uri=store, backup=backup)
    origin = "the file that it came from" if key_file == "-" else escape(key_file)
    if imported.plaintext:
        invocation.warn(f"{origin} is a plaintext copy of the key, which remains: destroy it")
    former = settings.stores.get(imported.kid, stored.uri)
    if is_in_token(stored.uri) and not is_in_token(former):
        invocation.warn(f"{former} still holds the key: destroy it there, too")
    backup_file = origin if imported.is_backup else None
    return key_storage.stored_key(stored, "imported", origin_as_backup=backup_file)
