"""`polygent-issue machine-info check`: whether a document is any good, and whose machine it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.json_text import finding_json
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import ExitCode, HomeMissing
from polygent_issuer.findings import Finding
from polygent_issuer.home.setting_types import duration_text
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.machines import history_notes
from polygent_issuer.machine_info import document, plausibility
from polygent_issuer.machine_info.document import MachineInfo
from polygent_issuer.registry import KnownFingerprint, machines
from polygent_issuer.terms import dates
from polygent_issuer.text import normalize_for_comparison

_MINUTE = timedelta(minutes=1)
_ROUNDED = ((timedelta(days=2), timedelta(days=1)), (timedelta(hours=2), timedelta(hours=1)))


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedDocument(Result):
    """A document that keeps FORMAT §4.

    Attributes:
        stale: why it is not fresh, if it is not.
        implausible: the finding of a placeholder as fingerprint, or None.
        known: whose machine it is or was; None where there is no registry to ask.
        notes: what the past of that machine says, or of one that it may be.
    """

    name: str
    info: MachineInfo
    now: datetime
    max_age: timedelta
    stale: Finding | None
    implausible: Finding | None
    known: tuple[KnownFingerprint, ...] | None
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        """The code with which `sign` would stop for a finding."""
        return ExitCode.CONSENT if self.findings else ExitCode.DONE

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings that `sign` would need consent for."""
        return tuple(each for each in (self.stale, self.implausible) if each is not None)

    @property
    def age(self) -> timedelta:
        """How long ago it was made; negative for one from the future."""
        return self.now - self.info.generated_at

    def to_json(self) -> Mapping[str, Any]:
        """Return its fields, `fresh`, and `known`, which is null without a home.

        `findings` has every finding that `sign` would stop for, `finding` the one about the age.
        """
        info, stale = self.info, self.stale
        return {
            "file": self.name,
            "fresh": stale is None,
            "age_seconds": self.age // timedelta(seconds=1),
            "max_age_seconds": self.max_age // timedelta(seconds=1),
            "fingerprint": info.fingerprint,
            "generated_at": dates.instant(info.generated_at),
            "hostname": info.hostname,
            "os": info.os,
            "product_version": info.product_version,
            "customer": info.customer,
            "components": dict(info.components),
            "ignored": list(info.extra),
            "finding": None if stale is None else finding_json(stale),
            "findings": [finding_json(each) for each in self.findings],
            "known": None if self.known is None else list(map(_known_json, self.known)),
            "notes": list(self.notes),
        }

    def blocks(self) -> Iterable[Block]:
        """What it says, whether it is fresh, whose machine it is."""
        info = self.info
        yield Line(f"{self.name} says:", "title")
        yield Fields(
            (
                ("fingerprint", info.fingerprint),
                ("made", f"{dates.instant(info.generated_at)} ({_age(self.age)})"),
                ("hostname", info.hostname),
                ("system", info.os),
                ("product", info.product_version),
                ("customer", info.customer and f"{info.customer} (the sender's word)"),
                ("components", ", ".join(info.components) or None),
                ("ignored", ", ".join(info.extra) or None),
            )
        )
        if self.stale is None:
            yield Line(f"fresh: it may be {duration_text(self.max_age)} old", "good")
        for finding in self.findings:
            yield Line(f"{finding.code}: {finding.message}", "warn")
            if finding.hint:
                yield Line(finding.hint, "plain", 1)
        yield from self._owners()

    def _owners(self) -> Iterable[Block]:
        if self.known is None:
            yield Line("whose machine it is: there is no home with customers to ask", "dim")
        elif not self.known:
            yield Line("whose machine it is: nobody's yet")
        for one in self.known or ():
            archived = ", who was archived" if one.customer.archived_at is not None else ""
            owner = f"{one.customer.name} ({one.customer.slug}){archived}"
            until = "" if one.until is None else f" until {dates.instant(one.until)}"
            when = f"since {dates.instant(one.since)}{until}"
            yield Line(f"whose machine it is: {owner}, machine {one.machine.label}, {when}")
        names = {normalize_for_comparison(one.customer.name) for one in self.known or ()}
        claimed = self.info.customer
        if claimed and names and normalize_for_comparison(claimed) not in names:
            yield Line(f"the document says that it is {claimed}'s", "warn", 1)
        for note in self.notes:
            yield Line(note, "warn", 1)


def check(
    invocation: Invocation,
    document_file: Annotated[
        str, argument("FILE", "The customer's machine-info.json; - is stdin.")
    ],
) -> CheckedDocument:
    """Judge a machine-info.json: what it says, how old it is, whose machine it is.

    Exit 0: it is good and fresh. Exit 3: it is refused. Exit 4: it is stale, or its fingerprint
    is a placeholder, so sign would ask for consent. No home is needed. Without one, the
    document is not compared with known machines.
    """
    data = files.read_bounded(document_file, limit=document.LIMIT, what="machine-info document")
    info = document.parse(data)
    try:
        settings = invocation.settings
        with invocation.registry.reading() as db:
            known: tuple[KnownFingerprint, ...] | None
            known = machines.with_fingerprint(db, info.fingerprint)
            notes = history_notes(db, info, invocation.now)
    except HomeMissing:
        settings, known, notes = Settings(), None, ()
    max_age = settings.machine_info_max_age
    return CheckedDocument(
        name=document_file,
        info=info,
        now=invocation.now,
        max_age=max_age,
        stale=plausibility.freshness_finding(info, now=invocation.now, max_age=max_age),
        implausible=plausibility.implausible_fingerprint(info),
        known=known,
        notes=notes,
    )


def _known_json(one: KnownFingerprint) -> dict[str, Any]:
    return {
        "customer": one.customer.slug,
        "customer_name": one.customer.name,
        "machine": one.machine.label,
        "since": dates.instant(one.since),
        "until": dates.optional_instant(one.until),
    }


def _age(age: timedelta) -> str:
    """Say an age in whole days, hours or minutes."""
    span = abs(age)
    unit = next((unit for least, unit in _ROUNDED if span >= least), _MINUTE)
    text = duration_text(span // unit * unit) if span >= _MINUTE else "less than a minute"
    return f"{text} ago" if age >= timedelta() else f"{text} ahead"
