"""Which of many license files can be imported: the authentic ones, each id with one content.

A file's bytes are compared in the form in which this tool writes them, so what a mail program did
to the line end is no difference; another signature of the same license is one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.license_file import LicenseFile
from polygent_issuer.registry import KeyRecord
from polygent_issuer.text import escape
from polygent_issuer.verifier import EXAMPLE_KID, CheckCode, Key, KeySet, License, Verifier, jws
from polygent_issuer.verifier.errors import LicenseError, quoted


class RejectionCode(StrEnum):
    """Why an authentic-looking file is refused all the same; the others are `CheckCode`."""

    UNREADABLE = "unreadable_input"
    KEY_COMPROMISED = "key_compromised"
    EXAMPLE_KEY = "example_key"
    OTHER_BYTES = "other_bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidFile:
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
class RejectedFile:
    """A file that is not imported: a stable code, why, and what puts it right."""

    name: str
    code: str
    message: str
    hint: str | None


class FileValidator:
    """Validates files by the keys that may vouch for them."""

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

    def validate(self, file: LicenseFile) -> ValidFile | RejectedFile:
        """Check that a file is authentic; its acceptance is a server's business."""
        problem = file.problem
        if problem is not None:
            return _rejected(file, RejectionCode.UNREADABLE, problem.message, problem.hint)
        try:
            authentic = self._verifier.authenticate(file.data)
        except LicenseError as error:
            if error.code is CheckCode.UNKNOWN_KEY:
                return self._unknown(file)
            return _rejected(file, error.code, error.message, error.hint)
        token = jws.parse(file.data)
        canonical = jws.assemble(token.signing_input, token.signature)
        return ValidFile(name=file.name, license=authentic, kid=token.kid, file=canonical)

    def _unknown(self, file: LicenseFile) -> RejectedFile:
        kid = jws.parse(file.data).kid
        if kid in self._compromised:
            label = escape(self._compromised[kid])
            return _rejected(
                file,
                RejectionCode.KEY_COMPROMISED,
                f"signed with {label}, which is marked as compromised: it may be a forgery",
                Hint("ask the customer what it is, then ", run("sign"), " with another key"),
            )
        if kid == EXAMPLE_KID:
            return _rejected(
                file,
                RejectionCode.EXAMPLE_KEY,
                "signed with the published example key: anybody can do that",
                None,
            )
        return _rejected(
            file,
            CheckCode.UNKNOWN_KEY,
            f"signed with a key that is not pinned here, {quoted(kid)}",
            Hint("pin its key: ", run("key", "import", "BACKUP"), ", or add --public-key FILE"),
        )


def reject_conflicting_copies(
    files: Iterable[ValidFile | RejectedFile], stored: Mapping[str, bytes]
) -> Iterator[ValidFile | RejectedFile]:
    """Refuse each file of an id that has other bytes elsewhere; the order decides nothing.

    Args:
        files: every file of the run.
        stored: the bytes that the registry holds, by license id.
    """
    files = tuple(files)
    contents: dict[str, set[bytes]] = {}
    for each in files:
        if isinstance(each, ValidFile):
            contents.setdefault(each.license.jti, set()).add(each.file)
    for each in files:
        if isinstance(each, RejectedFile):
            yield each
            continue
        license_id = each.license.jti
        copy = stored.get(license_id)
        if copy == each.file or (copy is None and len(contents[license_id]) == 1):
            yield each
            continue
        other = "the registry holds" if copy is not None else "another of these files has"
        yield RejectedFile(
            name=each.name,
            code=RejectionCode.OTHER_BYTES,
            message=f"{other} license {license_id} with other bytes",
            hint=Hint("find out which one the customer has: ", run("inspect", each.name)),
        )


def _rejected(file: LicenseFile, code: str, message: str, hint: str | None) -> RejectedFile:
    return RejectedFile(name=file.name, code=str(code), message=message, hint=hint)
