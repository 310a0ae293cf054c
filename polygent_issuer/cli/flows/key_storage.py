"""Storage of a new key and its backup: the options, checks before any prompt, the report."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.cli import candidates, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.home_setup import ensure_home
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    OptionGroup,
    PassphraseOptions,
    flag,
    option,
)
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.key import EXPORT_ALL, backup_state, key_json
from polygent_issuer.cli.output.result import Report, note
from polygent_issuer.cli.prompts import obtain_consent
from polygent_issuer.errors import (
    HomeMissing,
    InputRefused,
    KeyUnavailable,
    MissingInput,
    OutputExists,
    OutputProblem,
    UsageProblem,
)
from polygent_issuer.files import disk
from polygent_issuer.findings import Consent
from polygent_issuer.home import create, folder, settings
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys.lifecycle import KeyLifecycle, NewPassphrase, StoredKey
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.remote import backup_impossible_new
from polygent_issuer.keys.rotation import label_words
from polygent_issuer.keys.stores import open_store
from polygent_issuer.registry import KeyRecord, keys
from polygent_issuer.text import Hint, escape, run

_NONE: Final = "none"
_ELSEWHERE: Final = "files are never overwritten; to use another path"


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageOptions(OptionGroup):
    """The places of a new key and of its backup."""

    store: str | None = option(
        "--store",
        "URI",
        "Use this key store: keyring:, file:PATH or pkcs11:URI.",
        complete=candidates.stores,
    )
    backup: str | None = option("--backup", "FILE", "Write an encrypted backup to this file.")
    no_backup: bool = flag("--no-backup", "Skip the backup.")


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryCommand:
    """The command with its one argument, to repeat it with another place."""

    command: str
    argument: str
    label: str | None = None
    storage: StorageOptions
    passphrases: PassphraseOptions
    consents: ConsentOptions

    def hint(self, *, store: str | None = None, backup: Path | None = None) -> Hint:
        """Return the whole command with this store or backup.

        The argument comes last, since it may begin with a hyphen.
        """
        options = {
            "--store": store or self.storage.store,
            "--label": self.label,
            "--backup": backup or self.storage.backup,
            "--passphrase-fd": self.passphrases.passphrase_fd,
            "--passphrase-file": self.passphrases.passphrase_file,
            # Not as it was typed: it may contain a secret.
            "--passphrase-command": self.passphrases.passphrase_command and "COMMAND",
        }
        words = self.command.split()
        words += [word for name, v in options.items() if v is not None for word in (name, str(v))]
        words += ["--no-backup"] if self.storage.no_backup else []
        words += [word for code in self.consents.accept or () for word in ("--accept", code)]
        words += ["--reason", self.consents.reason] if self.consents.reason else []
        words += ["--"] if self.argument.startswith("-") and self.argument != "-" else []
        return run(*words, self.argument)


def current_settings(invocation: Invocation) -> Settings:
    """Return the settings of the home, or the defaults before there is a home."""
    with suppress(HomeMissing):
        folder.require(invocation.home_path)
    return settings.load(invocation.home_path, invocation.environ).settings


def known_keys(invocation: Invocation) -> tuple[KeyRecord, ...]:
    """Return the keys of the registry; empty before there is a home."""
    if not create.is_complete(invocation.home_path):
        create.require_room(invocation.home_path)
        return ()
    with invocation.registry.reading() as db:
        return keys.every(db)


def require_store(settings: Settings, uri: str, retry: RetryCommand) -> None:
    """Check without a prompt that a store can take a key.

    Raises:
        InvalidStore: (`invalid_store`) the text is not a store URI.
        OutputExists: (`output_exists`) the key file exists.
        KeyUnavailable, OutputProblem: each code of a store that cannot take it.
    """
    try:
        store = open_store(settings, uri)
        store.require_room()
    except KeyUnavailable as refused:
        if refused.code != "keyring_absent":
            raise
        in_file = retry.hint(store=store_uri.EXAMPLE_FILE_URI)
        hint = Hint("store the key in an encrypted file: ", in_file)
        raise KeyUnavailable(refused.message, hint=hint, code=refused.code) from None
    except OutputExists as exists:
        if not store.uri.startswith(store_uri.FILE):
            raise
        free = free_path(Path(store.uri.removeprefix(store_uri.FILE)))
        hint = Hint(_ELSEWHERE, ": ", retry.hint(store=f"{store_uri.FILE}{free}"))
        raise OutputExists(exists.message, hint=hint) from None


def require_backup(retry: RetryCommand) -> None:
    """Check without a prompt the options for the backup, and that it can be written.

    Raises:
        UsageProblem: (`usage`) both options are given.
        InputRefused, OutputExists, OutputProblem: as `backup_file`.
    """
    backup = retry.storage.backup
    if backup is None:
        return
    if retry.storage.no_backup:
        raise UsageProblem(
            "--backup and --no-backup are mutually exclusive", hint="give one of them"
        )
    try:
        backup_file(backup)
    except OutputExists as exists:
        free = free_path(Path(backup).expanduser())
        hint = Hint(_ELSEWHERE, ": ", retry.hint(backup=free))
        raise OutputExists(exists.message, hint=hint) from None


def free_path(path: Path) -> Path:
    """Return the first of NAME-2, NAME-3 … in the same folder that does not exist."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return next(free for free in numbered if not os.path.lexists(free))


def backup_path(invocation: Invocation, settings: Settings, options: StorageOptions) -> Path | None:
    """Return the path of the backup from the options, the settings, or a prompt.

    None means that the operator declines a backup. Without a terminal and a choice, it raises
    `missing_input`.
    """
    if options.no_backup:
        return None
    if options.backup is not None:
        return backup_file(options.backup)
    if settings.key_backup_folder is not None:
        return _existing(settings.key_backup_folder)
    if not invocation.interactive:
        raise MissingInput(
            "no backup location given",
            hint=Hint(
                "add --backup FILE or --no-backup; to set it permanently: ",
                run("config", "set", "key_backup_folder", "DIR"),
            ),
        )
    question = f"file or folder for the key's backup (preferably on another disk), or {_NONE}"
    answer = prompts.text(question, check=_check_answer, what="path")
    return None if answer == _NONE else backup_file(answer)


def backup_path_of_new(
    invocation: Invocation, settings: Settings, options: StorageOptions, store: str
) -> Path | None:
    """Return the path of a new key's backup; a key in a token needs consent to have none.

    Raises:
        MissingInput, Stopped: (`missing_input`, `declined`) without that consent.
    """
    if not store_uri.stays(store):
        return backup_path(invocation, settings, options)
    if not options.no_backup:
        refusal = backup_impossible_new(store)
        if not invocation.interactive:
            raise MissingInput(refusal.message, hint=refusal.hint)
        note("warning", refusal.message)
        prompts.require_yes("generate it anyway?")
    return None


def backup_file(text: str) -> Path:
    """Return a backup's path: an existing folder, or a new file in an existing folder.

    Raises:
        InputRefused: (`input_refused`) the name is empty, stdout, or has `~` of an unknown user.
        OutputExists, OutputProblem: (`output_exists`, `output_failed`) the file exists, or its
            folder does not.
    """
    place = location(text)
    if not place.folder:
        if os.path.lexists(place.path):
            message = f"{escape(str(place.path))} already exists"
            raise OutputExists(message, hint="choose another file")
        _existing(place.path.parent)
    return place.path


def location(text: str) -> store_uri.FileLocation:
    """Return the place of a backup as it was typed; `input_refused` as `backup_file`."""
    if text in ("", "-"):
        raise InputRefused("the backup needs a file name", hint="give a file name")
    try:
        return store_uri.file_location(Path(text).expanduser())
    except RuntimeError:
        raise InputRefused(
            f"unknown user in path: {escape(text)}", hint="give an absolute path"
        ) from None


def _check_answer(answer: str) -> None:
    if answer != _NONE:
        try:
            backup_file(answer)
        except OutputProblem as refused:
            raise InputRefused(refused.message, hint=refused.hint) from None


def _existing(folder: Path) -> Path:
    if disk.is_folder(folder):
        return folder
    raise OutputProblem(
        f"the folder for the backup does not exist: {escape(str(folder))}",
        hint="connect its disk, create the folder, or choose another file with --backup FILE",
    )


def key_lifecycle(
    invocation: Invocation,
    passphrase: Passphrase,
    consent: Consent,
    *,
    store: str,
    backup: Path | None,
) -> KeyLifecycle:
    """Return the lifecycle in the home of this invocation, which is created if needed.

    Raises:
        InvalidStore: (`invalid_store`) the text is not a store URI; then no home is created.
        UsageProblem: (`usage`) the key and the backup are one file.
    """
    place = store_uri.parse(store)
    file = place.path if isinstance(place, store_uri.FileLocation) else None
    if file is not None and file == backup:
        raise UsageProblem(
            "the backup path is the same as the key path", hint="choose a path on another disk"
        )
    ensure_home(invocation)
    shared = file is not None and backup is not None
    return of_existing_home(invocation, passphrase, consent, shared=shared)


def of_existing_home(
    invocation: Invocation, passphrase: Passphrase, consent: Consent, *, shared: bool = False
) -> KeyLifecycle:
    """Return the lifecycle of keys; `shared` if a key file and its backup share a passphrase."""
    ask = partial(obtain_consent, invocation)
    return KeyLifecycle(
        registry=invocation.registry,
        home=invocation.home,
        settings=invocation.settings,
        passphrase=NewPassphrase(passphrase, ask, consent, shared=shared),
        warn=invocation.warn,
        now=invocation.now,
        actor=invocation.actor,
    )


def stored_key(stored: StoredKey, verb: str, *, origin_as_backup: str | None = None) -> Report:
    """Return the report on a key that was generated or imported (the `verb`), with next steps.

    `origin_as_backup` is the file of an imported key, if it can serve as its backup.
    """
    backup = None if stored.backup is None else str(stored.backup)
    members = {"key": key_json(stored.key, stored.uri), "new": stored.is_new, "backup": backup}
    return Report(members, _blocks(stored, verb, origin_as_backup))


def _blocks(stored: StoredKey, verb: str, origin_as_backup: str | None) -> Iterable[Block]:
    key, backup = stored.key, stored.backup
    yield Line(f"{verb} the key {key.label}", "good")
    yield Fields(
        (
            ("kid", key.kid),
            ("private key", stored.uri),
            ("backup", backup_state(key) if backup is None else str(backup)),
            ("state", "active (used for signing)" if key.active else key.state),
        )
    )
    if not stored.is_new:
        yield Line("the registry already contained the public key, so its label was kept", "dim", 1)
        return
    if key.backed_up_at is None:
        yield _without_backup(stored, origin_as_backup)
    label = label_words(key.label)
    if key.active:
        export = run("key", "export-public", *label, "--output", "polygent-public.pem")
        yield Line(Hint("export the public key and install it on every server: ", export))
    else:
        yield Line(Hint("export all public keys and install them on every server: ", EXPORT_ALL))
        yield Line(Hint("when every server has the new key: ", run("key", "use", *label)))


def _without_backup(stored: StoredKey, origin: str | None) -> Line:
    if origin is not None:
        return Line(f"{origin} is encrypted and can serve as the backup; keep it in another place")
    if store_uri.stays(stored.uri):
        where, store = store_uri.where(stored.uri), ("--store", store_uri.EXAMPLE_FILE_URI)
        return Line(
            Hint(
                f"this tool cannot export the key from {where}; keep a spare key that your servers "
                "already trust: ",
                run("key", "generate", "spare", *store, "--backup", "FILE"),
            ),
            "warn",
        )
    command = run("key", "backup", *label_words(stored.key.label), "FILE")
    why = "without a backup, a lost key means a new public key on every server: "
    return Line(Hint(why, command), "warn")
