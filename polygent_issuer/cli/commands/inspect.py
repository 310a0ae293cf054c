"""`polygent-issue inspect`: show a license file, and which parts of it were checked."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.options.input_files import PublicKeyFiles, read_public_keys
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import ExitCode, HomeMissing
from polygent_issuer.text import Hint, run

if TYPE_CHECKING:
    from polygent_issuer.registry.keys import CompromisedKey
    from polygent_issuer.verifier import CheckRow, KeySet, License


def inspect(
    invocation: Invocation,
    license_file: Annotated[str, argument("FILE", "Show this license file (- for stdin).")],
    public_key: PublicKeyFiles = None,
) -> Report:
    """Show the content of a license file.

    The signature is checked with the registry's keys, or with --public-key. If that is not
    possible, the claims are shown as unverified.
    """
    from polygent_issuer.issuing.verification import peek_kid, read_file
    from polygent_issuer.verifier import EXAMPLE_KID, CheckCode, Verifier

    file = read_file(license_file)
    if file.problem is not None:
        raise file.problem
    kid = peek_kid(file.data)
    keys, compromised, reason = _keys(invocation, public_key, kid)
    report = Verifier(keys).report(file.data, now=invocation.now)
    failure = None if report.authentic else report.failure
    unknown = failure is not None and failure.code is CheckCode.UNKNOWN_KEY
    unchecked = (reason or "signed with an unknown key") if unknown else None
    claims = report.license or _unverified(file.data)
    members = {
        "file": license_file,
        "kid": kid,
        "authentic": failure is None,
        "example_key": report.authentic and kid == EXAMPLE_KID,
        "compromised_key": None if compromised is None else compromised.to_json(),
        "signature_checked": unchecked is None,
        "failure": failure.code if failure else None,
        "message": failure.message if failure else None,
        "claims": None if claims is None else claims.to_claims(),
    }
    forged = failure is not None and unchecked is None
    return Report(
        members,
        _text(members, claims, failure, unchecked),
        ExitCode.NOT_AUTHENTIC if forged or claims is None else ExitCode.DONE,
    )


def _text(
    members: Mapping[str, Any],
    claims: "License | None",
    failure: "CheckRow | None",
    unchecked: str | None,
) -> Iterable[Block]:
    """Yield the claims, then why the signature is bad (`failure`) or was not checked."""
    from polygent_issuer.cli.output.records import claim_rows
    from polygent_issuer.cli.output.verification import EXAMPLE_KEY

    if claims is not None:
        yield Line(f"{members['file']}:", "title")
        yield Fields(tuple(claim_rows(claims)))
    if unchecked is not None:
        yield Line(f"NOT CHECKED: the signature: {unchecked}", "warn")
        yield Line("anyone could have written this file", "warn")
    elif failure is not None:
        yield Line(f"NOT AUTHENTIC: {failure.code}: {failure.message}", "bad")
        if failure.hint:
            yield Line(failure.hint, "plain", 1)
    else:
        yield Line(f"checked: form, signature (key {members['kid']}), claims", "good")
    if members["example_key"]:
        yield Line(EXAMPLE_KEY, "bad")
    rest = "not checked: expiry, upload window, machine, host, clock ("
    yield Line(Hint(rest, run("verify"), " checks them)"), "dim")


def _keys(
    invocation: Invocation, public_key: list[Path] | None, kid: str | None
) -> "tuple[KeySet, CompromisedKey | None, str | None]":
    """Return the trusted keys, and the reason why the file's key is not trusted, if it is known."""
    if public_key:
        return read_public_keys(invocation, public_key), None, None
    from polygent_issuer.registry import keys
    from polygent_issuer.verifier import KeySet

    try:
        with invocation.registry.reading() as db:
            compromised = None if kid is None else keys.find_compromised_key(db, kid)
            reason = None if compromised is None else compromised.message
            return keys.key_set(db), compromised, reason
    except HomeMissing:
        return KeySet.of(), None, "no home with public keys, and no --public-key"


def _unverified(data: bytes) -> "License | None":
    """Return the claims of the file without checking its signature."""
    from polygent_issuer.verifier import License, LicenseError, jws

    try:
        return License.from_payload(jws.parse(data).payload)
    except LicenseError:
        return None
