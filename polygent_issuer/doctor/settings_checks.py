"""Checks of the settings and of this tool's environment variables."""

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
    """Return the settings that differ from their default, each with its origin."""
    return tuple(entry for entry in loaded.entries.values() if entry.where is not Where.DEFAULT)


def origins(loaded: Loaded) -> Verdict:
    """Report the number of values from each origin."""
    count = Counter(entry.where for entry in loaded.entries.values())
    return ok(
        f"{count[Where.FILE]} from the settings file, {count[Where.ENVIRONMENT]} from the "
        f"environment, {count[Where.DEFAULT]} defaults"
    )


def issuer(loaded: Loaded) -> Verdict:
    """Check that the issuer name is set."""
    name = loaded.settings.issuer
    if loaded.entries["issuer"].where is not Where.DEFAULT:
        return ok(f"licenses name the issuer {escape(name)}")
    return warn(
        f"not set: licenses name the issuer {name}",
        run("config", "set", "issuer", "NAME"),
    )


def operator(loaded: Loaded) -> Verdict:
    """Report the operator name in the journal."""
    name = loaded.settings.operator
    if name is None:
        return ok("not set: the journal records the operating system user")
    return ok(f"the journal records {escape(name)}")


def upload_window(loaded: Loaded) -> Verdict:
    """Check that the upload window, from which upload deadlines are computed, is set."""
    window = loaded.entries["upload_window"].value
    if window is not None:
        return ok(f"servers accept a license file for {window} after issue")
    return warn(
        "not set: upload deadlines assume 7 days",
        run("config", "set", "upload_window", "7d"),
    )


def output_folder(folder: Path | None) -> Verdict:
    """Check that license files can be written to the output folder."""
    if folder is None:
        return ok("not set: license files are written to the current folder")
    problem = _unusable(folder)
    if problem is not None:
        return fail(*problem, ExitCode.INPUT)
    return ok(escape(str(folder)))


def key_backup_folder(folder: Path | None) -> Verdict:
    """Check that key backups can be written to their folder, which may be on a removable disk."""
    if folder is None:
        return ok("not set: each backup needs an explicit path")
    problem = _unusable(folder)
    if problem is not None:
        return warn(*problem)
    return ok(escape(str(folder)))


def variables(names: Iterable[str]) -> tuple[Verdict, ...]:
    """Report variables with our prefix and an unknown name, which have no effect.

    Args:
        names: of all environment variables; their values are not read.
    """
    unknown = sorted(name for name in names if name.startswith(PREFIX) and name not in VARIABLES)
    if not unknown:
        return (ok("no unknown POLYGENT_ISSUER_* variable is set"),)
    return tuple(_unknown(name) for name in unknown)


def passphrase_file(path: str | None) -> Verdict:
    """Check that only the operator can read the passphrase file that the environment names.

    Args:
        path: the value of the variable; the file itself is not read.
    """
    if not path:
        return ok("not set: passphrases come from an option or the terminal")
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
        return warn(f"mail drafts cannot be written: {why}", f"mv {word} {word}.wrong")
    return ok(escape(str(path)) if edited else "not set: drafts use the default template")


def _unknown(name: str) -> Verdict:
    similar = nearest(name, VARIABLES)
    meant = f"; did you mean {similar}?" if similar else f"; known are {', '.join(VARIABLES)}"
    return warn(f"{escape(name)} is set but not recognised{meant}", f"unset {for_shell(name)}")


def _unusable(folder: Path) -> tuple[str, str] | None:
    """Return the problem of a folder that cannot be written to, and its fix."""
    place, word = escape(str(folder)), for_shell(str(folder))
    if not disk.is_folder(folder):
        return f"the folder {place} does not exist", f"mkdir -p {word}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"no permission to write to the folder {place}", f"chmod u+rwx {word}"
    return None
