"""How a file looks that was read, whether it is to be believed or not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.claims import claim_rows
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.verdicts import EXAMPLE_KEY
from polygent_issuer.errors import ExitCode
from polygent_issuer.issuing.leaked_key import LeakedKey
from polygent_issuer.verifier import EXAMPLE_KID, License, LicenseError

_NOT_CHECKED = "expiry, upload window, machine, host, clock: polygent-issue verify checks those"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection(Result):
    """A file's claims, and how far its signature is to be believed.

    Attributes:
        refused: why it is not authentic; `None` when it is.
        unchecked: why the signature was not checked; `None` when it was.
        leaked: the key that it names, when this registry says that others may hold it.
    """

    name: str
    kid: str | None
    license: License | None
    refused: LicenseError | None
    unchecked: str | None
    leaked: LeakedKey | None

    @property
    def authentic(self) -> bool:
        """Whether a trusted key signed it, and its claims keep their rules."""
        return self.refused is None and self.unchecked is None

    @property
    def example_key(self) -> bool:
        """Whether it is authentic only by the example key, with which anybody can sign."""
        return self.authentic and self.kid == EXAMPLE_KID

    @property
    def exit_code(self) -> ExitCode:
        """10 when the file is damaged or forged; an unknown key is no fault of the file."""
        failed = self.refused is not None and self.unchecked is None
        return ExitCode.NOT_AUTHENTIC if failed or self.license is None else ExitCode.DONE

    def to_json(self) -> Mapping[str, Any]:
        """`claims` as the file says them, `authentic` whether to believe them."""
        return {
            "file": self.name,
            "kid": self.kid,
            "authentic": self.authentic,
            "example_key": self.example_key,
            "compromised_key": None if self.leaked is None else self.leaked.to_json(),
            "signature_checked": self.unchecked is None,
            "failure": str(self.refused.code) if self.refused else None,
            "message": self.refused.message if self.refused else self.unchecked,
            "claims": None if self.license is None else dict(self.license.to_claims()),
        }

    def blocks(self) -> Iterable[Block]:
        """The claims, then what was checked of them."""
        if self.license is not None:
            yield Line(f"{self.name} says:", "title")
            yield Fields(tuple(claim_rows(self.license)))
        if self.unchecked is not None:
            yield Line(f"NOT CHECKED: the signature: {self.unchecked}", "warn")
            yield Line("anyone could have written this file", "warn")
        elif self.refused is not None:
            yield Line(f"NOT AUTHENTIC: {self.refused.code}: {self.refused.message}", "bad")
            if self.refused.hint:
                yield Line(self.refused.hint, "plain", 1)
        else:
            yield Line(f"checked: form, signature (key {self.kid}), claims", "good")
        if self.example_key:
            yield Line(EXAMPLE_KEY, "bad")
        yield Line(f"not checked: {_NOT_CHECKED}", "dim")
