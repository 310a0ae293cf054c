"""From `settings.toml` and the environment to the settings in force."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from polygent_issuer.errors import InvalidSettings, UnreadableInput
from polygent_issuer.files import NotUtf8, read_text
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.paths import STORE, is_kid
from polygent_issuer.home.plans import plan_texts, read_plans
from polygent_issuer.home.setting_specs import KEYS, TABLES
from polygent_issuer.home.setting_types import NAME, invalid, refuse_unknown, table_at
from polygent_issuer.home.settings import (
    OPERATOR_VARIABLE,
    SETTINGS_FILE,
    Loaded,
    Origin,
    Settings,
    Where,
)
from polygent_issuer.terms.features import catalogue
from polygent_issuer.text import backslash_hint, escape, nearest

LIMIT = 64 * 1024
"""The largest settings file, in bytes."""

_DEFAULT = Origin(where=Where.DEFAULT)
_EDIT = Hint("edit the file that ", run("config", "path"), " names")


def settings_path(home: Path) -> Path:
    """Where the settings of a home are."""
    return home / SETTINGS_FILE


def load(home: Path, environ: Mapping[str, str]) -> Loaded:
    """The settings in force: defaults, over them the file, over that the environment.

    Args:
        home: the folder of the settings file, which need not exist.
        environ: the process's environment, for `POLYGENT_ISSUER_OPERATOR`.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns the file or may write to it.
        InvalidSettings: (`invalid_settings`) naming the file, and the dotted key or the line.
    """
    path = settings_path(home)
    text = settings_text(path)
    with naming(path):
        table = parse(text)
        settings = interpret(table)
    origins = _origins(settings, table, Origin(where=Where.FILE, detail=str(path)))
    if OPERATOR_VARIABLE in environ:
        operator = NAME.read(environ[OPERATOR_VARIABLE], OPERATOR_VARIABLE)
        settings = replace(settings, operator=operator)
        origins["operator"] = Origin(where=Where.ENVIRONMENT, detail=OPERATOR_VARIABLE)
    return Loaded(settings=settings, origins=origins, texts=_texts(settings))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before whatever is wrong in it.

    Raises:
        InvalidSettings: (`invalid_settings`) that was raised within, so changed.
    """
    try:
        yield
    except InvalidSettings as refused:
        raise invalid(escape(str(path)), refused.message, refused.hint) from None


def settings_text(path: Path) -> str:
    """Read a settings file; a missing one is empty. A byte order mark is dropped.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns it or may write to it.
        InvalidSettings: (`invalid_settings`) when it cannot be read, is too large or not UTF-8.
    """
    if _is_missing(path):
        return ""
    try:
        return read_text(str(path), limit=LIMIT, what="settings file", trusted=True)
    except NotUtf8 as refused:
        raise InvalidSettings(refused.message, hint=refused.hint) from None
    except UnreadableInput as refused:
        raise InvalidSettings(refused.message, hint="check the file and its permissions") from None


def _is_missing(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        pass  # reading it says what is wrong
    return False


def parse(text: str) -> dict[str, Any]:
    """The TOML document.

    Raises:
        InvalidSettings: (`invalid_settings`) when it is none, with the line.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InvalidSettings("not TOML: nested too deeply", hint=_EDIT) from None
    except ValueError as problem:  # a number of thousands of digits is no TOMLDecodeError
        raise InvalidSettings(
            f"not TOML: {escape(_first_lower(str(problem)))}",
            hint=backslash_hint(text, str(problem)) or _EDIT,
        ) from None


def interpret(table: Mapping[str, Any]) -> Settings:
    """The settings that a TOML document means.

    Raises:
        InvalidSettings: (`invalid_settings`) with the dotted path of what is wrong.
    """
    refuse_unknown(table, (*KEYS, *TABLES))
    given = {name: key.kind.read(table[name], name) for name, key in KEYS.items() if name in table}
    stores = table_at(table.get("stores", {}), "stores")
    given["stores"] = {kid: _store(kid, uri) for kid, uri in stores.items()}
    if "plans" in table:
        known = catalogue(given.get("features", ()))
        given["plans"] = read_plans(table_at(table["plans"], "plans"), known)
    settings = Settings(**given)
    if settings.default_plan not in settings.plans:
        near = nearest(settings.default_plan, settings.plans)
        hint = f"did you mean {near}?" if near else f"plans: {', '.join(settings.plans) or 'none'}"
        raise invalid("default_plan", f"there is no plan {settings.default_plan}", hint)
    return settings


def _store(kid: str, uri: object) -> str:
    path = f"stores.{escape(kid)}"
    if not is_kid(kid):
        raise invalid(path, "not a key's kid", run("key", "list"))
    text: str = STORE.read(uri, path)
    return text


def _origins(settings: Settings, table: Mapping[str, Any], file: Origin) -> dict[str, Origin]:
    origins = {name: file if name in table else _DEFAULT for name in KEYS}
    origins |= {f"stores.{kid}": file for kid in settings.stores}
    written = table.get("plans", {})
    for plan in settings.plans.values():
        keys = written.get(plan.name, {})
        for key in plan_texts(plan):
            origins[f"plans.{plan.name}.{key}"] = file if key in keys else _DEFAULT
    return origins


def _texts(settings: Settings) -> dict[str, str | None]:
    texts: dict[str, str | None] = {}
    for name, key in KEYS.items():
        value = getattr(settings, name)
        texts[name] = None if value is None else key.kind.text(value)
    texts |= {f"stores.{kid}": uri for kid, uri in settings.stores.items()}
    for plan in settings.plans.values():
        texts |= {f"plans.{plan.name}.{key}": text for key, text in plan_texts(plan).items()}
    return texts


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]
