"""`polygent-issue machine-info`: check a document, or create that of this machine."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument, option
from polygent_issuer.cli.output.blocks import Block, Fields, Line, at_home
from polygent_issuer.cli.output.files import OutputFile, write
from polygent_issuer.cli.output.result import Report, finding_json
from polygent_issuer.errors import ExitCode, HomeMissing, InputRefused, InvalidMachineInfo
from polygent_issuer.terms import dates

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import MachineInfo
    from polygent_issuer.registry import Customer, KnownFingerprint, Machine, Reading

    _Known = tuple[KnownFingerprint, ...] | None
    _Hosts = tuple[tuple[Customer, Machine], ...]

_MOST_HOSTS: Final = 3

_MINUTE = timedelta(minutes=1)
_ROUNDED = ((timedelta(days=2), timedelta(days=1)), (timedelta(hours=2), timedelta(hours=1)))


def check(
    invocation: Invocation,
    document_file: str = argument("FILE", "Check this machine-info.json (- for stdin)."),
) -> Report:
    """Check a machine-info.json.

    Its content, its age, the customer of the machine, and known machines with its host name are
    shown. Exit 0: it is valid and fresh.
    Exit 3: it is refused. Exit 4: it is stale or its fingerprint is a placeholder, so sign would
    need consent. No home is needed; without one the document is not compared with known machines.
    """
    from polygent_issuer.files import reading
    from polygent_issuer.home.setting_types import duration_text
    from polygent_issuer.home.settings import Settings
    from polygent_issuer.issuing.machines import history_notes
    from polygent_issuer.machine_info import document, plausibility
    from polygent_issuer.registry import customers, machines

    data = reading.read_bounded(document_file, limit=document.LIMIT, what="machine-info document")
    info = document.parse(data)
    try:
        settings = invocation.settings
        with invocation.registry.reading() as db:
            known: _Known = machines.with_fingerprint(db, info.fingerprint)
            hosts = _same_host_name(db, info.hostname, known)
            named = customers.matches(db, info.customer or "")
            notes = history_notes(db, info, invocation.now)
    except HomeMissing:
        settings, known, hosts, named, notes = Settings(), None, (), (), ()
    max_age, age = settings.machine_info_max_age, invocation.now - info.generated_at
    stale = plausibility.freshness_finding(info, now=invocation.now, max_age=max_age)
    implausible = plausibility.implausible_fingerprint(info)
    findings = [each for each in (stale, implausible) if each is not None]
    members = {
        "file": document_file,
        "fresh": stale is None,
        "age_seconds": age // timedelta(seconds=1),
        "max_age_seconds": max_age // timedelta(seconds=1),
        "fingerprint": info.fingerprint,
        "generated_at": dates.instant(info.generated_at),
        "hostname": info.hostname,
        "os": info.os,
        "product_version": info.product_version,
        "customer": info.customer,
        "components": dict(info.components),
        "ignored": list(info.extra),
        "finding": None if stale is None else finding_json(stale),
        "findings": list(map(finding_json, findings)),
        "known": None if known is None else list(map(_known_json, known)),
        "known_hosts": None if known is None else list(map(_host_json, hosts)),
        "notes": list(map(at_home, notes)),
    }
    text = [Line(f"contents of {document_file}:", "title"), _fields(info, age)]
    if stale is None:
        text.append(Line(f"fresh: not older than {duration_text(max_age)}", "good"))
    for finding in findings:
        text.append(Line(f"{finding.code}: {finding.message}", "warn"))
        text += [Line(finding.hint, "plain", 1)] if finding.hint else []
    text += [*_owners(info, known, named), *_hosts(hosts), *(Line(n, "warn", 1) for n in notes)]
    return Report(members, text, ExitCode.CONSENT if findings else ExitCode.DONE)


def _fields(info: "MachineInfo", age: timedelta) -> Block:
    return Fields(
        (
            ("fingerprint", info.fingerprint),
            ("created", f"{dates.instant(info.generated_at)} ({_age(age)})"),
            ("hostname", info.hostname),
            ("system", info.os),
            ("product", info.product_version),
            ("customer", info.customer and f"{info.customer} (unverified)"),
            ("components", ", ".join(info.components) or None),
            ("ignored", ", ".join(info.extra) or None),
        )
    )


def _owners(info: "MachineInfo", known: "_Known", named: "Sequence[Customer]") -> Iterable[Line]:
    if known is None:
        yield Line("known machine: not checked without a home", "dim")
    elif not known:
        yield Line("known machine: none with this fingerprint")
    for one in known or ():
        until = "" if one.until is None else f" until {dates.instant(one.until)}"
        when = f"since {dates.instant(one.since)}{until}"
        yield Line(f"known machine: {one.machine.label} of {_owner(one.customer)}, {when}")
    owners = {one.customer.slug for one in known or ()}
    if info.customer and owners and owners.isdisjoint(each.slug for each in named):
        yield Line(f"the document names another customer: {info.customer}", "warn", 1)


def _same_host_name(db: "Reading", hostname: str | None, known: "_Known") -> "_Hosts":
    from polygent_issuer.registry import machines

    same = {one.machine.id for one in known or ()}
    hosts = () if hostname is None else machines.with_hostname(db, hostname)
    return tuple(host for host in hosts if host[1].id not in same)


def _hosts(hosts: "_Hosts") -> Iterable[Line]:
    for customer, machine in hosts[:_MOST_HOSTS]:
        owner = f"{machine.label} of {_owner(customer)}"
        yield Line(f"known host name: {owner}, with another fingerprint", "warn")
    if len(hosts) > _MOST_HOSTS:
        more = f"{len(hosts) - _MOST_HOSTS:,} more machines have this host name"
        yield Line(f"{more} (--json lists all)", "dim", 1)


def _owner(customer: "Customer") -> str:
    archived = ", archived" if customer.archived_at is not None else ""
    return f"{customer.name} ({customer.slug}{archived})"


def _host_json(host: "tuple[Customer, Machine]") -> dict[str, Any]:
    customer, machine = host
    return {
        "customer": customer.slug,
        "customer_name": customer.name,
        "machine": machine.label,
        "hostname": machine.hostname,
        "since": dates.instant(machine.since),
    }


def _known_json(one: "KnownFingerprint") -> dict[str, Any]:
    return {
        "customer": one.customer.slug,
        "customer_name": one.customer.name,
        "machine": one.machine.label,
        "since": dates.instant(one.since),
        "until": dates.optional_instant(one.until),
    }


def _age(age: timedelta) -> str:
    """Return an age as text in whole days, hours or minutes."""
    from polygent_issuer.home.setting_types import duration_text

    span = abs(age)
    unit = next((unit for least, unit in _ROUNDED if span >= least), _MINUTE)
    text = duration_text(span // unit * unit) if span >= _MINUTE else "less than a minute"
    return f"{text} ago" if age >= timedelta() else f"{text} in the future"


def create(
    invocation: Invocation,
    *,
    to: OutputFile = None,
    customer: str | None = option(
        "--customer", "NAME", "Set the customer name in the document.", candidates.customers
    ),
    product_version: str | None = option(
        "--product-version", "V", "Set the product version in the document."
    ),
) -> Report:
    """Create the machine-info.json of a machine.

    Run it on the machine itself. It is meant for servers built on our library, and for trials. The
    document contains keyed hashes of the machine id, never the id itself. An existing file is
    never overwritten. In a container, mount the host's /etc/machine-id; otherwise all containers
    of an image count as one machine.
    """
    import json

    from polygent_issuer.enforcement import machine

    data = describe(now=invocation.now, customer=customer, product_version=product_version)
    if warning := machine.image_id_warning():
        invocation.warn(warning)
    path = write(invocation, data, to, name="machine-info.json")
    document = json.loads(data)
    file = None if path is None else str(path)
    fields = Fields(
        (
            ("file", file or "stdout"),
            ("fingerprint", document["fingerprint"]),
            ("components", ", ".join(document["components"])),
        )
    )
    return Report(
        {"file": file, "machine_info": document},
        [Line("created the machine-info document of this machine", "good"), fields],
        text_to_stderr=path is None,
    )


def describe(*, now: datetime, customer: str | None, product_version: str | None) -> bytes:
    """Return the `machine-info.json` of this machine, as any server creates it.

    Raises:
        InputRefused: (`no_machine_id`) when the machine has no valid id.
        InvalidMachineInfo: (`invalid_machine_info`) when a name is not allowed in a document.
    """
    from polygent_issuer.enforcement import NoMachineInfo, machine, machine_info

    try:
        return machine_info(now=now, customer=customer, product_version=product_version)
    except NoMachineInfo as error:
        kind = InputRefused if error.code == machine.NO_MACHINE_ID else InvalidMachineInfo
        raise kind(error.message, hint=error.hint, code=error.code) from None
