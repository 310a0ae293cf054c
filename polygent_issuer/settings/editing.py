"""Changing one setting: comments and order stay; what would not load is not written."""

import copy
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polygent_issuer import files
from polygent_issuer.errors import InvalidSettings
from polygent_issuer.settings.defaults import plans_text, toml_literal
from polygent_issuer.settings.kind import TomlValue, table_at, wrong
from polygent_issuer.settings.loading import (
    LIMIT,
    interpret,
    naming,
    parse,
    read_text,
    settings_path,
)
from polygent_issuer.settings.schema import kind_of
from polygent_issuer.settings.values import FEATURES
from polygent_issuer.text import shown

_BY_HAND = "edit the file; polygent-issue config path names it"
_ATTEMPTS = 200
_PAUSE = 0.05  # seconds; ten in all


def set_value(home: Path, dotted_key: str, text: str) -> None:
    """Give one setting a value.

    Args:
        home: the folder of the settings file, which is made when it does not exist.
        dotted_key: `not_due`, `stores.KID`, `plans.trial.users`.
        text: the value as it is typed: a text without quotes, `7d`, `25`, `true`, a list as
            `insights,bots` or as TOML writes it. Empty text is an empty list, and elsewhere takes
            the value away as `unset` does.

    Raises:
        InvalidSettings: (`invalid_settings`) when the key or the value is wrong, or the settings
            would not load with it; then nothing is written.
        OutputProblem: (`output_failed`) when the file cannot be written.
    """
    kind = kind_of(dotted_key)
    if not text and kind is not FEATURES:
        unset(home, dotted_key)
        return
    value = kind.typed(text, dotted_key)
    kind.read(value, dotted_key)
    _rewrite(home, dotted_key.split("."), value)


def unset(home: Path, dotted_key: str) -> None:
    """Take a setting out of the file, so that its default holds; `plans.NAME` takes out a plan.

    Nothing happens when the file does not have it.

    Raises:
        InvalidSettings: (`invalid_settings`) when there is no such key, or the settings would not
            load without it.
        OutputProblem: (`output_failed`) when the file cannot be written.
    """
    keys = dotted_key.split(".")
    if keys[0] != "plans" or len(keys) != len(("plans", "NAME")):
        kind_of(dotted_key)
    _rewrite(home, keys, None)


def _rewrite(home: Path, keys: Sequence[str], value: TomlValue | None) -> None:
    path = settings_path(home)
    with _alone(home):
        text = read_text(path)
        with naming(path):
            before = _with_plans(text) if keys[0] == "plans" else text
            present = parse(before)
            wanted = _changed(present, keys, value)
            if repr(wanted) == repr(present):  # by value and type: true is not 1
                return
            interpret(wanted)
            after = _uncommented(before, keys, value, wanted) or _edited(before, keys, value)
            if parse(after) != wanted:
                raise wrong(shown(".".join(keys)), "cannot be changed alone", _BY_HAND)
            data = after.encode()
            if len(data) > LIMIT:
                raise InvalidSettings(f"it would be larger than {LIMIT} bytes", hint=_BY_HAND)
        files.replace(data, path)


def _with_plans(text: str) -> str:
    """The text with the shipped plans written down, if it has none: one cannot be changed alone."""
    if "plans" in parse(text):
        return text
    return f"{text.rstrip()}\n\n{plans_text()}".lstrip()


def _changed(table: dict[str, Any], keys: Sequence[str], value: TomlValue | None) -> dict[str, Any]:
    """The document with one value set, or taken out."""
    wanted = copy.deepcopy(table)
    inner: Any = wanted
    for depth, key in enumerate(keys[:-1], start=1):
        if value is None and key not in inner:
            return wanted
        inner = table_at(inner.setdefault(key, {}), ".".join(keys[:depth]))
    if value is not None:
        inner[keys[-1]] = value
    else:
        inner.pop(keys[-1], None)
    return wanted


def _uncommented(
    text: str, keys: Sequence[str], value: TomlValue | None, wanted: dict[str, Any]
) -> str | None:
    """The value in the place of its commented default, where there is just one such line."""
    if len(keys) > 1 or value is None:
        return None
    line = re.compile(rf"^#[ \t]*{keys[0]}[ \t]*=[^\r\n]*", re.MULTILINE)
    written = f"{keys[0]} = {toml_literal(value)}"
    changed = line.sub(lambda _: written, text)
    try:
        return changed if parse(changed) == wanted else None
    except InvalidSettings:
        return None  # the key is there already, or there are two such lines


def _edited(text: str, keys: Sequence[str], value: TomlValue | None) -> str:
    import tomlkit  # noqa: PLC0415 - slow to import, and only edits need it
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 - likewise

    try:
        document = tomlkit.parse(text)
        inner: Any = document
        for key in keys[:-1]:
            if key not in inner:
                inner[key] = tomlkit.table()
            inner = inner[key]
        if value is not None:
            inner[keys[-1]] = value
        elif keys[-1] in inner:
            del inner[keys[-1]]
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError, RecursionError):
        raise wrong(shown(".".join(keys)), "cannot be changed here", _BY_HAND) from None


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep a second command from changing the settings at the same time.

    Two keys made at once must both be found in `stores`. Windows has no such lock on a folder.

    Raises:
        InvalidSettings: (`invalid_settings`) when another command does not finish.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl  # noqa: PLC0415 - POSIX has it, Windows does not

    try:
        folder = os.open(home, os.O_RDONLY)
    except OSError:
        yield  # reading or writing there says what is wrong
        return
    try:
        for attempt in range(_ATTEMPTS):
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == _ATTEMPTS - 1:
                    raise InvalidSettings(
                        "another command is changing the settings", hint="try again"
                    ) from None
                time.sleep(_PAUSE)
            except OSError:
                break  # some network disks have no locks
        yield
    finally:
        os.close(folder)
