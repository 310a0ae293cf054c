"""Which of many license files may be taken in: the authentic ones, each id with one content.

A file's bytes are compared in the form in which this tool writes them, so what a mail program did
to the line end is no difference; another signature of the same license is one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from polygent_issuer.batch.sources import Source
from polygent_issuer.dates import from_seconds
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import KeyRecord
from polygent_issuer.text import shown
from polygent_issuer.verifier import EXAMPLE_KID, CheckCode, Key, KeySet, License, Verifier, jws
from polygent_issuer.verifier.errors import LicenseError

_EPOCH = from_seconds(0)


class RefusalCode(StrEnum):
    """Why an authentic-looking file is refused all the same; the others are `CheckCode`."""

    UNREADABLE = "unreadable_input"
    KEY_COMPROMISED = "key_compromised"
    EXAMPLE_KEY = "example_key"
    OTHER_BYTES = "other_bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """An authentic license file.

    Attributes:
        name: as its source.
        license: what it says; `kid` the key that signed it.
        file: its bytes as this tool writes them.
    """

    name: str
    license: License
    kid: str
    file: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A file that is not taken in: a stable code, why, and what puts it right."""

    name: str
    code: str
    message: str
    hint: str | None


class Judge:
    """Judges files by the keys that may vouch for them."""

    def __init__(self, pinned: Iterable[KeyRecord], given: Iterable[Key] = ()) -> None:
        """Trust the pinned keys and those that the operator named, no compromised one.

        Args:
            pinned: the registry's keys.
            given: public keys of the command line.
        """
        pinned = tuple(pinned)
        self._compromised: Mapping[str, str] = {
            key.kid: key.label for key in pinned if key.compromised
        }
        trusted = (*(key.public_key for key in pinned), *given)
        self._verifier = Verifier(
            KeySet.of(*(key for key in trusted if key.kid not in self._compromised))
        )

    def judge(self, source: Source) -> Sound | Refused:
        """Whether a file is authentic; its acceptance is a server's business."""
        problem = source.problem
        if problem is not None:
            code = RefusalCode.UNREADABLE
            return Refused(name=source.name, code=code, message=problem.message, hint=problem.hint)
        try:
            token = jws.parse(source.data)
        except LicenseError as error:
            return _refused(source, error.code, error.message, error.hint)
        found = self._verifier.report(source.data, now=_EPOCH)
        if found.license is not None:
            canonical = jws.assemble(token.signing_input, token.signature)
            return Sound(name=source.name, license=found.license, kid=token.kid, file=canonical)
        failed = next(row for row in found.rows if row.outcome == "failed")
        if failed.code is CheckCode.UNKNOWN_KEY:
            return self._unknown(source, token.kid, failed.message)
        return _refused(source, failed.code, failed.message, failed.hint)

    def _unknown(self, source: Source, kid: str, message: str) -> Refused:
        if kid in self._compromised:
            label = shown(self._compromised[kid])
            return _refused(
                source,
                RefusalCode.KEY_COMPROMISED,
                f"signed with {label}, which is marked as compromised: it may be a forgery",
                Hint("ask the customer what it is, then ", run("sign"), " with another key"),
            )
        if kid == EXAMPLE_KID:
            return _refused(
                source,
                RefusalCode.EXAMPLE_KEY,
                "signed with the published example key: anybody can do that",
                None,
            )
        return _refused(
            source,
            CheckCode.UNKNOWN_KEY,
            message.replace("trusted", "pinned"),
            Hint("pin its key: ", run("key", "import", "BACKUP"), ", or add --public-key FILE"),
        )


def one_content_each(
    judged: Iterable[Sound | Refused], kept: Mapping[str, bytes]
) -> Iterator[Sound | Refused]:
    """Refuse each file of an id that has other bytes elsewhere; the order decides nothing.

    Args:
        judged: every file of the run.
        kept: the bytes that the registry holds, by license id.
    """
    judged = tuple(judged)
    contents: dict[str, set[bytes]] = {}
    for each in judged:
        if isinstance(each, Sound):
            contents.setdefault(each.license.jti, set()).add(each.file)
    for each in judged:
        if isinstance(each, Refused):
            yield each
            continue
        license_id = each.license.jti
        held = kept.get(license_id)
        if held == each.file or (held is None and len(contents[license_id]) == 1):
            yield each
            continue
        other = "the registry holds" if held is not None else "another of these files has"
        yield Refused(
            name=each.name,
            code=RefusalCode.OTHER_BYTES,
            message=f"{other} license {license_id} with other bytes",
            hint=Hint("find out which one the customer has: ", run("inspect", each.name)),
        )


def _refused(source: Source, code: str, message: str, hint: str | None) -> Refused:
    return Refused(name=source.name, code=str(code), message=message, hint=hint)
