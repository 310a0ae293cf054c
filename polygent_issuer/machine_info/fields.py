"""The fields of `machine-info.json`, each with its rule (FORMAT §4).

Text for people must be free of control, bidi and invisible characters: what could steer a
terminal is refused on the way in (DESIGN). White space around it is dropped, and what is empty
then counts as absent, since it says nothing.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.parsing import parse_instant
from polygent_issuer.text import nfc
from polygent_issuer.verifier.identifiers import canonical_fingerprint, display_name_problem

_SPACE: Final = " \t\r\n"
_GENERATED_AT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,7})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def fingerprint(text: str) -> str:
    """Bring a fingerprint into its canonical form."""
    canonical = canonical_fingerprint(text)
    if canonical is None:
        raise _refused("must be 8 to 256 characters of visible ASCII")
    return canonical


def moment(text: object) -> datetime:
    """Read `generatedAt`; the seventh digit of a fraction is dropped."""
    if not isinstance(text, str):
        raise _refused("must be a string")
    if not _GENERATED_AT.fullmatch(text):
        raise _refused("must be written as 2026-11-23T09:30:00Z")
    try:
        return parse_instant(text)
    except InvalidTerms:
        raise _refused("is a time that does not exist") from None


def told_text(text: str | None) -> str | None:
    """Trim and compose what a sender wrote for people; None when that leaves nothing."""
    trimmed = nfc((text or "").strip(_SPACE))
    if not trimmed:
        return None
    if problem := display_name_problem(trimmed):
        raise _refused(problem)
    return trimmed


def parts(components: Mapping[str, str]) -> Mapping[str, str]:
    """Hold components to the rule of other text; those without a name or a value say nothing."""
    told = [(told_text(name) or "", told_text(value)) for name, value in components.items()]
    if len({name for name, _ in told}) != len(told):
        raise _refused("has two names that differ only in white space or composition")
    return MappingProxyType({name: value for name, value in sorted(told) if name and value})


def _refused(why: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{why}", {"why": why})


_Told: TypeAlias = Annotated[str | None, AfterValidator(told_text)]


class MachineInfo(BaseModel):
    """A document whose every listed field keeps its rule; times are UTC.

    `extra` lists the names that were ignored, sorted, as they stand in the document: foreign text,
    to be shown through `text.shown`. Callers keep the received bytes.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    fingerprint: Annotated[str, AfterValidator(fingerprint)]
    generated_at: Annotated[datetime, BeforeValidator(moment)]
    format: Literal["polygent-machine-info/1"] | None = None
    hostname: _Told = None
    os: _Told = None
    product_version: _Told = None
    customer: _Told = None
    components: Annotated[Mapping[str, str], AfterValidator(parts)] = Field(
        default_factory=lambda: MappingProxyType({})
    )
    extra: tuple[str, ...] = ()
