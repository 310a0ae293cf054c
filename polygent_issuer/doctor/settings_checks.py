"""Checks of the settings, and of the variables that are meant for this tool."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from polygent_issuer.delivery import template
from polygent_issuer.doctor.context import Verdict, fail, ok, warn
from polygent_issuer.doctor.home_checks import private_files
from polygent_issuer.errors import ExitCode, InputRefused
from polygent_issuer.files import disk
from polygent_issuer.files.reading import TRUST_GROUP
from polygent_issuer.hints import run
from polygent_issuer.home import folder as home_folder
from polygent_issuer.home.settings import OPERATOR_VARIABLE, Entry, Loaded, Where
from polygent_issuer.keys import passphrases
from polygent_issuer.text import escape, for_shell, nearest

PREFIX: Final = "POLYGENT_ISSUER_"
VARIABLES: Final = (home_folder.VARIABLE, OPERATOR_VARIABLE, passphrases.VARIABLE, TRUST_GROUP)
"""Every variable that this tool reads."""


def chosen(loaded: Loaded) -> tuple[Entry, ...]:
    """Return the settings that are not at their default, each with its origin."""
    return tuple(entry for entry in loaded.entries.values() if entry.where is not Where.DEFAULT)


def origins(loaded: Loaded) -> Verdict:
    """Report how many values come from where."""
    count = Counter(entry.where for entry in loaded.entries.values())
    return ok(
        f"{count[Where.FILE]} values from the file, {count[Where.ENVIRONMENT]} from the "
        f"environment, {count[Where.DEFAULT]} at their default"
    )


def issuer(loaded: Loaded) -> Verdict:
    """Check that an issuer is set."""
    name = loaded.settings.issuer
    if loaded.entries["issuer"].where is not Where.DEFAULT:
        return ok(f"licenses are issued by {escape(name)}")
    return warn(
        f"licenses are issued by {name}, as no name is set",
        run("config", "set", "issuer", "NAME"),
    )


def operator(loaded: Loaded) -> Verdict:
    """Report the operator of the journal."""
    name = loaded.settings.operator
    if name is None:
        return ok("not set: the journal names the user of the operating system")
    return ok(f"the journal names {escape(name)}")


def upload_window(loaded: Loaded) -> Verdict:
    """Check that the upload window is set, on which every upload deadline rests."""
    window = loaded.entries["upload_window"].value
    if window is not None:
        return ok(f"servers take a file for {window}")
    return warn(
        "not set: every upload deadline assumes that servers take a file for 7 days",
        run("config", "set", "upload_window", "7d"),
    )


def output_folder(folder: Path | None) -> Verdict:
    """Check that licenses can be written where the settings say."""
    if folder is None:
        return ok("not set: licenses go to the current folder")
    problem = _unusable(folder)
    if problem is not None:
        return fail(*problem, ExitCode.INPUT)
    return ok(escape(str(folder)))


def key_backup_folder(folder: Path | None) -> Verdict:
    """Check that key backups can be written where the settings say; that disk may be away."""
    if folder is None:
        return ok("not set: key backups go where they are told to")
    problem = _unusable(folder)
    if problem is not None:
        return warn(*problem)
    return ok(escape(str(folder)))


def variables(names: Iterable[str]) -> tuple[Verdict, ...]:
    """Check that no variable has our prefix and an unknown name: it would have no effect.

    Args:
        names: of all variables of the environment; values are never looked at.
    """
    unknown = sorted(name for name in names if name.startswith(PREFIX) and name not in VARIABLES)
    if not unknown:
        return (ok("no unknown POLYGENT_ISSUER_ variable is set"),)
    return tuple(_unknown(name) for name in unknown)


def passphrase_file(path: str | None) -> Verdict:
    """Check that the passphrase file of the environment can be read, and only by the operator.

    Args:
        path: the variable's value; the file is never read here.
    """
    if not path:
        return ok("not set: a passphrase comes by an option or from the terminal")
    if not os.access(path, os.R_OK):
        return warn(
            f"the passphrase file {escape(path)} cannot be read", f"unset {passphrases.VARIABLE}"
        )
    return private_files([Path(path)])


def mail_template(folder: Path) -> Verdict:
    """Check that the mail template of the home can be used."""
    path = template.template_path(folder)
    try:
        edited = template.load(folder).edited
    except InputRefused as wrong:
        word = for_shell(str(path))
        why = wrong.message if wrong.hint is None else f"{wrong.message}; {wrong.hint}"
        return warn(f"no mail draft can be written: {why}", f"mv {word} {word}.wrong")
    return ok(escape(str(path)) if edited else "drafts have the text that ships")


def _unknown(name: str) -> Verdict:
    similar = nearest(name, VARIABLES)
    meant = f"; did you mean {similar}?" if similar else f"; there are {', '.join(VARIABLES)}"
    return warn(f"{escape(name)} is set, and nothing reads it{meant}", f"unset {for_shell(name)}")


def _unusable(folder: Path) -> tuple[str, str] | None:
    """Return what is wrong with a folder to write to, and the fix."""
    place, word = escape(str(folder)), for_shell(str(folder))
    if not disk.is_folder(folder):
        return f"there is no folder {place}", f"mkdir -p {word}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"no right to write into {place}", f"chmod u+rwx {word}"
    return None
