"""`polygent-issue inspect`: what a file says, and what of it was and was not checked."""

from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.inspect_view import Inspection
from polygent_issuer.cli.public_keys import PublicKeyFiles, from_files
from polygent_issuer.cli.verifying import ENOUGH, pinned
from polygent_issuer.errors import HomeMissing
from polygent_issuer.issuing import leaked_key
from polygent_issuer.issuing.foreign_files import named_kid
from polygent_issuer.issuing.leaked_key import LeakedKey
from polygent_issuer.verifier import KeySet, License, LicenseError, Verifier, jws
from polygent_issuer.verifier.errors import CheckCode


def inspect(
    invocation: Invocation,
    license_file: Annotated[str, typer.Argument(metavar="FILE", help="A .lic; - is stdin.")],
    public_key: PublicKeyFiles = None,
) -> Inspection:
    """Show what a license file says, and what of it was and was not checked.

    The signature is checked with the registry's keys, or with --public-key. Where that is not
    possible the claims are shown all the same, and said to be nobody's word.
    """
    data = files.read_beginning(license_file, count=ENOUGH, what="license file")
    kid = named_kid(data)
    keys, leaked, why = _keys(invocation, public_key, kid)
    report = Verifier(keys).report(data, now=invocation.now)
    refused = None
    if report.license is None and report.failure is not None:
        failure = report.failure
        refused = LicenseError(failure.code, failure.message, hint=failure.hint)
    unchecked = None
    if refused is not None and refused.code is CheckCode.UNKNOWN_KEY:
        unchecked = why or "its key is none of ours"
    return Inspection(
        name=license_file,
        kid=kid,
        license=report.license or _unverified(data),
        refused=refused,
        unchecked=unchecked,
        leaked=leaked,
    )


def _keys(
    invocation: Invocation, public_key: list[Path] | None, kid: str | None
) -> tuple[KeySet, LeakedKey | None, str | None]:
    """The keys that are trusted, and why that of the file is none of them, if that is known."""
    if public_key:
        return from_files(invocation, public_key), None, None
    try:
        with invocation.registry.reading() as db:
            leaked = None if kid is None else leaked_key.find(db, kid)
            return pinned(db), leaked, None if leaked is None else leaked.told
    except HomeMissing:
        return KeySet.of(), None, "there is no home with public keys, and no --public-key"


def _unverified(data: bytes) -> License | None:
    """What the bytes say, whoever wrote them."""
    try:
        return License.from_payload(jws.parse(data).payload)
    except LicenseError:
        return None
