"""The kinds of value that a setting can have, apart from places."""

import re
import tomllib
from collections.abc import Callable
from datetime import timedelta

from polygent_issuer import mailbox
from polygent_issuer.dates import Term
from polygent_issuer.errors import InvalidTerms
from polygent_issuer.settings.durations import HUNDRED_YEARS, duration_text, parse_duration
from polygent_issuer.settings.kind import Kind, at, called, text_at, wrong
from polygent_issuer.terms import check_limit
from polygent_issuer.text import nfc, shown
from polygent_issuer.verifier.catalogue import Tier
from polygent_issuer.verifier.names import display_name_problem, is_feature_name, is_slug

_LONGEST_WAIT = timedelta(hours=1)  # Windows counts the milliseconds of a wait in 32 bits
_COUNT = re.compile(r"[0-9]{1,9}")
_FEATURES_EXAMPLE = '["insights", "bots"]'


def _read_name(value: object, path: str) -> str:
    text = nfc(text_at(value, path, '"Acme Licensing"'))
    if problem := display_name_problem(text):
        raise wrong(path, problem, "a name of 1 to 200 visible characters")
    return text


def _read_mailbox(value: object, path: str) -> str:
    text = nfc(text_at(value, path, '"licenses@polygent.example"'))
    if mailbox.parse(text) is None:
        hint = "licenses@polygent.example, or Polygent <licenses@polygent.example>"
        raise wrong(path, f"not a mail address: {shown(text)}", hint)
    return text


def _read_plan_name(value: object, path: str) -> str:
    text = text_at(value, path, '"standard-annual"')
    if not is_slug(text):
        raise wrong(path, f"not a plan's name: {shown(text)}", "polygent-issue config show")
    return text


def _duration_up_to(longest: timedelta) -> Callable[[object, str], timedelta]:
    def read(value: object, path: str) -> timedelta:
        try:
            length = parse_duration(text_at(value, path, '"7d"'))
        except InvalidTerms as refused:
            raise at(path, refused) from None
        if length > longest:
            raise wrong(path, f"at most {duration_text(longest)}")
        return length

    return read


def _read_term(value: object, path: str) -> Term:
    try:
        term = Term.parse(text_at(value, path, '"1y"'))
    except InvalidTerms as refused:
        raise at(path, refused) from None
    if term.years > 100 or term.months > 1_200 or term.days > HUNDRED_YEARS.days:  # noqa: PLR2004 - the same length in three units
        raise wrong(path, "at most a hundred years")
    return term


def _read_tier(value: object, path: str) -> Tier:
    text = text_at(value, path, '"standard"')
    try:
        return Tier(text)
    except ValueError:
        raise wrong(path, f"no such tier: {shown(text)}", "standard or enterprise") from None


def _read_features(value: object, path: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise wrong(
            path, f"must be a list, not {called(value)}", f"write it as {_FEATURES_EXAMPLE}"
        )
    for name in value:
        if not isinstance(name, str) or not is_feature_name(name):
            told = shown(name) if isinstance(name, str) else called(name)
            hint = "small letters, digits, single hyphens between them"
            raise wrong(path, f"not a feature's name: {told}", hint)
    return tuple(dict.fromkeys(value))


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
    if _COUNT.fullmatch(text):
        return int(text)
    raise wrong(path, f"not a whole number: {shown(text)}", "write it as 25")


def _read_flag(value: object, path: str) -> bool:
    if isinstance(value, bool):
        return value
    raise wrong(path, f"must be true or false, not {called(value)}")


def _typed_flag(text: str, path: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise wrong(path, f"must be true or false, not {shown(text)}")


NAME = Kind(example='"Acme Licensing"', read=_read_name)
MAILBOX = Kind(example='"licenses@polygent.example"', read=_read_mailbox)
PLAN_NAME = Kind(example='"standard-annual"', read=_read_plan_name)
DURATION = Kind(example='"7d"', read=_duration_up_to(HUNDRED_YEARS), text=duration_text)
WAIT = Kind(example='"20s"', read=_duration_up_to(_LONGEST_WAIT), text=duration_text)
TERM = Kind(example='"1y"', read=_read_term)
TIER = Kind(example='"standard"', read=_read_tier)
FEATURES = Kind(
    example=_FEATURES_EXAMPLE, read=_read_features, typed=_typed_features, text=",".join
)
USERS, SESSION_HOSTS, DEPLOY_HOSTS = map(_limit, ("users", "session_hosts", "deploy_hosts"))
FLAG = Kind(example="true", read=_read_flag, typed=_typed_flag, text=lambda flag: str(flag).lower())
