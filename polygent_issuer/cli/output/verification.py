"""Text and JSON of verified files, with the fixes of failed checks, and of skipped files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli.output.blocks import Block, Fields, Line, Style, at_home
from polygent_issuer.cli.output.result import error_json, hint_json, json_line
from polygent_issuer.errors import ExitCode
from polygent_issuer.issuing import remedies
from polygent_issuer.issuing.verification import (
    UnreadableFile,
    UploadWindow,
    Verdict,
    VerificationResult,
    alert_days,
)
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, run
from polygent_issuer.verifier import CheckCode, CheckRow, License, Outcome
from polygent_issuer.verifier.errors import quoted

if TYPE_CHECKING:
    from polygent_issuer.batch.sources import Skipped

EXAMPLE_KEY: Final = (
    "signed with the EXAMPLE key, whose private key is published: it proves nothing"
)
"""The text about a file that only the example key makes authentic."""

_OF_A_FILE = frozenset({CheckCode.MALFORMED, CheckCode.UNKNOWN_KEY, CheckCode.BAD_SIGNATURE})
"""The checks that the original file, or the same file with another key, would pass."""

_WORST_FIRST: Final = (
    (Verdict.NOT_AUTHENTIC, ExitCode.NOT_AUTHENTIC),
    (Verdict.UNREADABLE, ExitCode.INPUT),
    (Verdict.NOT_ACCEPTED, ExitCode.NOT_ACCEPTED),
)
_NOT_OURS = (
    "the file was not signed with a key of this home: another operator issued it, or it is forged"
)
_FORGED = (
    "this file was not issued by this registry, so treat it as forged; reissue the licenses signed "
    "with that key"
)
_OURS = "this file was issued by this registry: reissue the license with the active key"
_NO_PATTERN = (
    "use host names that differ only before the first dot, so that one pattern covers them, or "
    "reissue the license for any host"
)
_NO_NAME = (
    "call the server by a host name, since no pattern covers an address or another text, or "
    "reissue the license for any host"
)
_MEMBERS: Final = (
    *("file", "authentic", "accepted", "failure", "example_key", "compromised_key", "claims"),
    *("fingerprint_from", "status", "checks", "timeline", "error"),
)
_MARKS: Final[dict[Outcome, tuple[str, Style]]] = {
    Outcome.PASSED: ("ok", "good"),
    Outcome.FAILED: ("FAILED", "bad"),
    Outcome.NOT_CHECKED: ("not checked", "dim"),
}
_MESSAGE: Final = 15
"""The column where the message of a check begins."""
_MOST_SKIPPED: Final = 5


def worst_exit(verdicts: Iterable[Verdict]) -> ExitCode:
    """Return 10 if a file is not authentic, else 3 if one is unreadable, else 11."""
    seen = set(verdicts)
    return next((code for verdict, code in _WORST_FIRST if verdict in seen), ExitCode.DONE)


def explanation(result: VerificationResult, row: CheckRow) -> str:
    """Return the fix of a failed check in words."""
    latest, stored = result.latest, result.stored
    if row.code is CheckCode.UNKNOWN_KEY and stored is None:
        return _unknown(result)
    if latest is not None and stored is not None and latest.id != stored.id:
        successor = latest.id[:8]
        return f"this license was replaced by {successor}: check whether the new one was sent"
    if stored is not None and not stored.is_current:
        return "this license was retired: check which licenses the customer has"
    if row.code is CheckCode.UNKNOWN_KEY:
        return _OURS
    if row.code is CheckCode.DOMAIN_MISMATCH and not _patterns(result):
        return _NO_PATTERN if len(result.hosts) > 1 else _NO_NAME
    return remedies.FOR[row.code].do


def command(result: VerificationResult, row: CheckRow) -> Hint:
    """Return the command of the fix; for a known license, that of its last successor."""
    license_, latest = result.license, result.latest
    if row.code is CheckCode.UNKNOWN_KEY and latest is None:
        return _which_key(result)
    if latest is not None and result.stored is not None:
        if latest.id != result.stored.id:
            return run("license", "show", latest.id[:8])
        if not latest.is_current:
            return run("customer", "show", latest.customer_slug)
        if row.code is CheckCode.UNKNOWN_KEY:
            from polygent_issuer.cli.output.records import reissue_command  # 20 ms

            return reissue_command(latest, result.at)
        if row.code not in _OF_A_FILE:
            this = (latest.customer_slug, "--license", latest.id[:8])
            return remedies.fix(
                row.code, customer=this, license_id=latest.id[:8], domain=_domain(result)
            )
    return remedies.fix(
        row.code,
        customer=(license_.sub,) if license_ else None,
        license_id=license_.jti if license_ else None,
        domain=_domain(result),
    )


def _domain(result: VerificationResult) -> tuple[str, ...] | None:
    """Return the options for a domain that covers all hosts; a wildcard if there is one now."""
    old = None if result.license is None else result.license.allowed_domain
    if old is None or not result.hosts:
        return None
    patterns = _patterns(result)
    if not patterns:
        return ("--no-allowed-domain",)
    return ("--allowed-domain", patterns[-1 if str(old).startswith("*.") else 0])


def _patterns(result: VerificationResult) -> tuple[str, ...]:
    """Return the domains that cover all hosts, the narrowest first."""
    from polygent_issuer.terms.decision import covering_domains

    return tuple(map(str, covering_domains(result.hosts)))


def _covering(result: VerificationResult) -> str:
    patterns = " or ".join(_patterns(result))
    if len(result.hosts) == 1:
        return f"the host is covered by {patterns or 'no pattern'}"
    if not patterns:
        return "no single pattern covers all hosts: * matches exactly one level"
    return f"all hosts are covered by {patterns}"


def _unknown(result: VerificationResult) -> str:
    """Return the fix for a file with an untrusted key that the registry does not know."""
    if result.compromised is not None:
        return _FORGED
    if result.own_keys:
        return _NOT_OURS
    kid = quoted(result.kid or "")
    return (
        f"the file was signed with another key: verify it with the public key {kid}; a server "
        "without that key refuses the file"
    )


def _which_key(result: VerificationResult) -> Hint:
    if result.compromised is not None:
        from polygent_issuer.cli.output.records import list_command  # as above

        return list_command(result.compromised.label)
    if result.own_keys:
        return run("key", "list")
    return run("verify", "FILE", "--public-key", "PUBLIC-KEY-FILE")


def file_json(
    result: VerificationResult | UnreadableFile, window: UploadWindow
) -> Mapping[str, Any]:
    """Return a file with its checks in FORMAT §5's order; the members are always the same."""
    if isinstance(result, UnreadableFile):
        values = {"file": result.name, "checks": [], "error": error_json(result.error)}
        return {**dict.fromkeys(_MEMBERS), **values}
    license_ = result.license
    return {
        **_own_json(result),
        "checks": [_check_json(result, row) for row in result.report.rows],
        "timeline": license_ and _timeline_json(license_.issued_at, license_.expires_at, window),
        "error": None,
    }


def file_json_line(
    result: VerificationResult | UnreadableFile, window: UploadWindow
) -> tuple[str, str]:
    """Return `file_json` on one line, in two parts.

    The second is one object for the accepted files of a batch: it is encoded once, and a chunk of
    results has it once.
    """
    if isinstance(result, UnreadableFile) or result.license is None or result.failure is not None:
        return json_line(file_json(result, window)), "\n"
    issued_at, expires_at = result.license.issued_at, result.license.expires_at
    own = json_line(_own_json(result))
    return own[:-1], _end_of_line(result.report.rows, issued_at, expires_at, window)


def _own_json(result: VerificationResult) -> dict[str, Any]:
    license_, failure, stored = result.license, result.failure, result.stored
    return {
        "file": result.name,
        "authentic": result.report.authentic,
        "accepted": failure is None,
        "failure": failure.code if failure else None,
        "example_key": result.example_key,
        "compromised_key": result.compromised and result.compromised.to_json(),
        "claims": license_ and license_.to_claims(),
        "fingerprint_from": result.fingerprint_from,
        "status": stored.status if stored else None,
    }


def _check_json(result: VerificationResult, row: CheckRow) -> dict[str, Any]:
    members = _row_json(row)
    if row.outcome is Outcome.FAILED:
        members["customer_sees"] = remedies.FOR[row.code].sees
        members["do"] = at_home(explanation(result, row))
        members.update(hint_json(command(result, row), "mend"))
    if row.outcome is Outcome.FAILED and row.code is CheckCode.DOMAIN_MISMATCH:
        members["hosts"] = list(result.hosts)
        members["patterns"] = list(_patterns(result))
    return members


def _row_json(row: CheckRow) -> dict[str, Any]:
    return {"code": row.code, "outcome": row.outcome, "message": row.message, "hint": row.hint}


@lru_cache(maxsize=128)  # the licenses of a batch were issued and expire together
def _end_of_line(
    rows: tuple[CheckRow, ...], issued_at: datetime, expires_at: datetime, window: UploadWindow
) -> str:
    import json

    timeline = json.dumps(_timeline_json(issued_at, expires_at, window))
    return f', "checks": {_checks_text(rows)}, "timeline": {timeline}, "error": null}}\n'


@lru_cache(maxsize=16)  # the checks of accepted files differ less than their times
def _checks_text(rows: tuple[CheckRow, ...]) -> str:
    import json

    return json.dumps(list(map(_row_json, rows)))


def _timeline_json(
    issued_at: datetime, expires_at: datetime, window: UploadWindow
) -> Mapping[str, Any]:
    return {
        "accepted_from": dates.instant(issued_at),
        "accepted_until": dates.instant(expires_at),
        "last_full_day": dates.last_full_day(expires_at).isoformat(),
        "upload_before": dates.instant(window.deadline(issued_at)),
        "upload_window_assumed": window.assumed,
        "alerts": [dates.instant(moment) for moment in alert_days(issued_at, expires_at)],
    }


def file_line(result: VerificationResult | UnreadableFile) -> str:
    """Return one file's verdict, its first failed check, and its state in the registry."""
    if isinstance(result, UnreadableFile):  # its name once
        return f"{result.name}: cannot be read: {result.error.message.rpartition(': ')[2]}"
    line, failure, stored = _heading(result), result.failure, result.stored
    if failure is not None:
        line += f": {failure.message}"
        if failure.hint and result.verdict is Verdict.NOT_AUTHENTIC:
            line += f" ({failure.hint})"
    if result.license is not None and stored is not None:
        if stored.replaced_by is not None:
            line += f" (in the registry: replaced by {stored.replaced_by[:8]})"
        elif not stored.is_current:
            line += " (in the registry: retired)"
    return f"{line} ({EXAMPLE_KEY})" if result.example_key else line


def file_blocks(result: VerificationResult, window: UploadWindow, now: datetime) -> Iterable[Block]:
    """Yield the verdict, the license, the checks with their fixes, and the timeline."""
    yield Line(_heading(result), "good" if result.failure is None else "bad")
    if result.example_key:
        yield Line(EXAMPLE_KEY, "bad", 1)
    if result.license is not None:
        yield _license_fields(result, result.license)
    yield from _checks(result)
    if result.license is not None:
        yield _timeline(result.license, window, now)


def _heading(result: VerificationResult) -> str:
    failure = result.failure
    if failure is None:
        return f"{result.name}: accepted"
    if result.verdict is Verdict.NOT_AUTHENTIC:
        return f"{result.name}: not authentic: {failure.code}"
    return f"{result.name}: authentic, but not accepted: {failure.code}"


def _license_fields(result: VerificationResult, license_: License) -> Fields:
    stored, status = result.stored, None
    if stored is not None and not stored.is_current:
        by = f" by {stored.replaced_by[:8]}" if stored.replaced_by else ""
        status = f"{stored.status}{by}"
    return Fields(
        (
            ("license", None if license_.jti in result.name else license_.jti),
            ("customer", f"{license_.customer} ({license_.sub})"),
            ("tier", str(license_.tier)),
            ("in the registry", status),
        )
    )


def _checks(result: VerificationResult) -> Iterable[Line]:
    for row in result.report.rows:
        mark, style = _MARKS[row.outcome]
        if row.outcome is not Outcome.FAILED:
            yield Line(f"{mark:<11}  {row.message}", style, 1, hang=_MESSAGE)
            continue
        yield Line(f"{mark:<11}  {row.code}: {row.message}", style, 1, hang=_MESSAGE)
        yield from _remedy(result, row)
        if not result.report.authentic:
            yield Line("not checked  remaining checks: the file is not authentic", "dim", 1)
            return


def _remedy(result: VerificationResult, row: CheckRow) -> Iterable[Line]:
    if row.hint and not result.report.authentic:
        yield Line(f"why: {row.hint}", "plain", 2)
    yield Line(f"the customer sees: {remedies.FOR[row.code].sees}", "plain", 2)
    if row.code is CheckCode.DOMAIN_MISMATCH:
        yield Line(_covering(result), "plain", 2)
    yield Line(Hint("do: ", explanation(result, row)), "plain", 2)
    yield Line(Hint("with: ", command(result, row)), "plain", 2)


def _timeline(license_: License, window: UploadWindow, now: datetime) -> Fields:
    deadline = window.deadline(license_.issued_at)
    assumed = " (assumed)" if window.assumed else ""
    late = "" if now <= deadline else ", which has passed"
    days = [
        moment.date().isoformat() for moment in alert_days(license_.issued_at, license_.expires_at)
    ]
    return Fields(
        (
            ("accepted", f"from {dates.instant(license_.issued_at)}"),
            ("until", dates.describe_expiry(license_.expires_at)),
            ("upload before", f"{dates.instant(deadline)}{assumed}{late}"),
            ("admins are warned on", ", ".join(days) or None),
        )
    )


def skipped_json(skipped: "Sequence[Skipped]") -> list[dict[str, Any]]:
    """Return the skipped files, each with the reason as a code and as text."""
    return [
        {"file": each.name, "reason": str(each.reason), "message": each.message} for each in skipped
    ]


def skipped_blocks(skipped: "Sequence[Skipped]") -> Iterator[Block]:
    """Yield the number of skipped files, and the first five of them."""
    if not skipped:
        return
    yield Line(f"skipped: {len(skipped):,}", "warn")
    for each in skipped[:_MOST_SKIPPED]:
        yield Line(f"{each.name}: {each.message}", "dim", 1)
    if len(skipped) > _MOST_SKIPPED:
        yield Line(f"and {len(skipped) - _MOST_SKIPPED:,} more (--json lists all)", "dim", 1)
