"""The kinds of value that a setting can have, apart from places."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from polygent_issuer import mailbox
from polygent_issuer.dates import Term
from polygent_issuer.errors import InvalidTerms
from polygent_issuer.settings.durations import HUNDRED_YEARS, duration_text, parse_duration
from polygent_issuer.settings.kind import Kind, at, called, text_at, wrong
from polygent_issuer.terms.parsing import (
    check_limit,
    parse_count,
    parse_features,
    parse_name,
    parse_plan_name,
    parse_term,
    parse_tier,
)
from polygent_issuer.text import nfc, shown

_LONGEST_WAIT = timedelta(hours=1)  # Windows counts the milliseconds of a wait in 32 bits
_FEATURES_EXAMPLE = '["insights", "bots"]'


def _parsed(parse: Callable[[str], Any], example: str) -> Kind:
    """A kind of what `terms.parsing` reads; the error says at which path."""

    def read(value: object, path: str) -> Any:  # noqa: ANN401 - of any kind
        try:
            return parse(text_at(value, path, example))
        except InvalidTerms as refused:
            raise at(path, refused) from None

    return Kind(example=example, read=read)


def _read_mailbox(value: object, path: str) -> str:
    text = nfc(text_at(value, path, '"licenses@polygent.example"'))
    if mailbox.parse(text) is None:
        hint = "licenses@polygent.example, or Polygent <licenses@polygent.example>"
        raise wrong(path, f"not a mail address: {shown(text)}", hint)
    return text


def _duration(longest: timedelta, example: str) -> Kind:
    def parse(text: str) -> timedelta:
        length = parse_duration(text)
        if length > longest:
            raise InvalidTerms(f"at most {duration_text(longest)}")
        return length

    return replace(_parsed(parse, example), text=duration_text)


def _parse_term(text: str) -> Term:
    term = parse_term(text)
    if term.years > 100 or term.months > 1_200 or term.days > HUNDRED_YEARS.days:  # noqa: PLR2004 - the same length in three units
        raise InvalidTerms("at most a hundred years")
    return term


def _read_features(value: object, path: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise wrong(
            path, f"must be a list, not {called(value)}", f"write it as {_FEATURES_EXAMPLE}"
        )
    for name in value:
        if not isinstance(name, str):
            raise wrong(
                path, f"must be a text, not {called(name)}", f"write it as {_FEATURES_EXAMPLE}"
            )
    try:
        return parse_features(value)
    except InvalidTerms as refused:
        raise at(path, refused) from None


def _typed_features(text: str, path: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",")] if text.strip() else []
    try:
        read = tomllib.loads(f"x = {text}")
    except (ValueError, RecursionError):
        read = {}
    if list(read) != ["x"]:
        raise wrong(path, "not a list", f"type insights,bots or {_FEATURES_EXAMPLE}")
    _read_features(read["x"], path)
    return [str(name) for name in read["x"]]


def _limit(name: str) -> Kind:
    def read(value: object, path: str) -> int:
        if type(value) is not int:
            raise wrong(path, f"must be a whole number, not {called(value)}", "write it as 25")
        try:
            check_limit(name, value)
        except InvalidTerms as refused:
            raise at(path, refused) from None
        return value

    return Kind(example="25", read=read, typed=_typed_count)


def _typed_count(text: str, path: str) -> int:
    try:
        return parse_count(text)
    except InvalidTerms as refused:
        raise at(path, refused) from None


def _read_flag(value: object, path: str) -> bool:
    if isinstance(value, bool):
        return value
    raise wrong(path, f"must be true or false, not {called(value)}")


def _typed_flag(text: str, path: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise wrong(path, f"must be true or false, not {shown(text)}")


NAME = _parsed(parse_name, '"Acme Licensing"')
MAILBOX = Kind(example='"licenses@polygent.example"', read=_read_mailbox)
PLAN_NAME = _parsed(parse_plan_name, '"standard-annual"')
DURATION = _duration(HUNDRED_YEARS, '"7d"')
WAIT = _duration(_LONGEST_WAIT, '"20s"')
TERM = _parsed(_parse_term, '"1y"')
TIER = _parsed(parse_tier, '"standard"')
FEATURES = Kind(
    example=_FEATURES_EXAMPLE, read=_read_features, typed=_typed_features, text=",".join
)
USERS, SESSION_HOSTS, DEPLOY_HOSTS = map(_limit, ("users", "session_hosts", "deploy_hosts"))
FLAG = Kind(example="true", read=_read_flag, typed=_typed_flag, text=lambda flag: str(flag).lower())
