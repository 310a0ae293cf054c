"""Export of licenses: the current ones as rows that `apply` reads, or their stored files.

The journal records each export of files, into a folder or an archive. A file that exists with the
same bytes counts as exported, so the same command can be repeated.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from polygent_issuer.batch.bundle import write_archive
from polygent_issuer.errors import NotFound, OutputExists
from polygent_issuer.files import disk, publication
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.next_license import check_not_archived
from polygent_issuer.issuing.proposal import file_name, load_license
from polygent_issuer.registry import (
    Customer,
    KeyRecord,
    LicenseRecord,
    LicenseStatus,
    Reading,
    Writing,
    change,
    customers,
    keys,
    licenses,
)
from polygent_issuer.registry.change import Decided
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape, for_toml, list_first, run
from polygent_issuer.verifier import License

_GROUP: Final = 256
"""The maximum number of files that one transaction writes into a folder."""
_MIDNIGHT: Final = "T00:00:00Z"
_HEAD: Final = """\
# Current licenses of customers that are not archived; polygent-issue/1, registry {registry}.
# Made {made} by polygent-issue registry export, for polygent-issue apply.
#
# A row's key is customer + machine; without a machine it is an enterprise license.
# `expires` is the last day that is covered to its end, UTC, or an instant where the license ends
# within a day. It is reached once and then kept; in its place `term = "1y"` renews year after year.
# `order_id` and `note` are recorded with the next license of a row; a change of them issues none.
"""


def rows(db: Reading) -> Iterator[dict[str, Any]]:
    """Yield a row for each current license, by customer and machine, from its verified file.

    A merge of customers may leave equal licenses. They give one row, with the order id and note of
    the first, since `apply` refuses two equal rows.

    Raises:
        RegistryDamaged: (`registry_damaged`) a stored file is not what was issued.
    """
    for customer in customers.every(db):
        exported: list[dict[str, Any]] = []
        for record in sorted(licenses.current(db, customer), key=_place):
            row = _row(record, load_license(db, record))
            if row not in exported:
                exported.append(row)
                order = {"order_id": record.order_id, "note": record.note}
                yield row | {name: text for name, text in order.items() if text is not None}


def toml(
    exported: Iterable[Mapping[str, Any]], *, now: datetime, registry_id: str
) -> Iterator[bytes]:
    """Yield the rows as TOML, in pieces.

    Args:
        exported: the rows of `rows`.
        now: the time of the export, aware; nothing else depends on the time.
        registry_id: the ID of the registry.
    """
    import tomli_w  # noqa: PLC0415 - only an export needs it

    registry = escape(registry_id)
    yield _HEAD.format(registry=registry, made=dates.instant(now)).encode()
    for row in exported:
        lines = ("", "[[license]]", *map(for_toml, tomli_w.dumps(row).split("\n")))
        yield "\n".join(lines).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A stored license file: its row, what it contains, its customer and its key."""

    record: LicenseRecord
    license: License
    customer: Customer
    key: KeyRecord

    @property
    def name(self) -> str:
        """The default name of the file."""
        return file_name(self.license, self.record.machine_label)


def read_file(db: Reading, record: LicenseRecord) -> StoredFile:
    """Return the stored file of a license; `registry_damaged` if it is not what was issued."""
    return StoredFile(
        record=record,
        license=load_license(db, record),
        customer=customers.by_id(db, record.customer_id),
        key=keys.pinned(db, record.kid),
    )


def select(
    db: Reading, ids: Sequence[str], *, customer: str | None = None, every: bool = False
) -> tuple[LicenseRecord, ...]:
    """Return licenses by the beginnings of their IDs, or the current ones of a customer or of all.

    Args:
        customer: a slug.
        every: whether to select those of every customer who is not archived.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such license, or several; the customer
            has no current license.
        InputRefused: (`customer_archived`) the customer is archived.
    """
    if every:
        current = licenses.select(db, status=LicenseStatus.CURRENT, archived=False)
        return tuple(licenses.checked(db, record) for record in current)
    if customer is None:
        return tuple({each.id: each for each in (licenses.find(db, id_) for id_ in ids)}.values())
    owner = check_not_archived(customers.get(db, customer))
    if not (of_customer := licenses.current(db, owner)):
        raise NotFound(
            f"{owner.name} has no current license",
            hint=Hint("sign a first one: ", run("sign", "--customer", owner.slug)),
        )
    return of_customer


def check_free(stored: Iterable[StoredFile], folder: Path) -> None:
    """Check that no other file has the name of a license file.

    Raises:
        OutputExists: (`output_exists`) with the first few of them.
    """
    taken = [
        each.name
        for each in stored
        if disk.content(folder / each.name, limit=len(each.record.file))
        not in (None, each.record.file)
    ]
    if taken:
        raise OutputExists(
            f"{escape(str(folder))} has other files with these names: {list_first(taken)}",
            hint="choose another folder with --output",
        )


def export_into_folder(
    decide: Callable[[Sequence[str]], Decided[tuple[StoredFile, ...]]],
    ids: Iterable[str],
    folder: Path,
) -> Iterator[StoredFile]:
    """Write the files in groups, and yield each when it is durable.

    Args:
        decide: decides the files of a group again, by their IDs.

    Raises:
        OutputExists, OutputProblem: as `publication.publish`; files of earlier groups are exported.
        RegistryChanged: (`registry_changed`) a license of this group changed meanwhile.
    """
    waiting = iter(ids)
    while group := tuple(islice(waiting, _GROUP)):
        decided = decide(group)
        prefix = outbox_delivery.temp_prefix(decided.registry.id)
        staged = publication.BatchPublication(folder, prefix)

        def write(
            db: Writing,
            decided: Decided[tuple[StoredFile, ...]] = decided,
            staged: publication.BatchPublication = staged,
        ) -> None:
            for each in decided.decision:
                record_export(db, each, str(folder / each.name))
                staged.prepare(each.record.file, each.name)
            staged.sync()
            # Before the files, so that no file is written if the registry cannot be written.
            db.check_written()
            for problem in staged.publish().values():
                raise problem

        try:
            _carry_out(decided, write)
        finally:
            staged.discard()
        yield from decided.decision


def export_into_archive(
    decided: Decided[tuple[StoredFile, ...]], target: Path, *, window: timedelta
) -> None:
    """Write all files into one archive with a manifest, as `--bundle` of a batch does.

    Raises:
        OutputExists, OutputProblem: as `publication.publish`; nothing is exported.
        RegistryChanged: (`registry_changed`) a license changed meanwhile.
    """
    prefix = outbox_delivery.temp_prefix(decided.registry.id)

    def write(db: Writing) -> None:
        for each in decided.decision:
            record_export(db, each, str(target / each.name))
        db.check_written()
        publication.prepare_with(
            lambda temp: write_archive(temp, map(_entry, decided.decision), window),
            target,
            temp_name=f"{prefix}bundle.tmp",
        ).publish(target.name)

    _carry_out(decided, write)


def record_export(db: Writing, stored: StoredFile, place: str) -> None:
    """Record the export of a file in the journal; `place` is its path, or `stdout`."""
    record = stored.record
    db.record(
        "license-exported",
        customer=record.customer_slug,
        license=record.id,
        kid=record.kid,
        details={"to": place, "sha256": record.sha256},
    )


def _place(record: LicenseRecord) -> tuple[str, datetime, str]:
    return record.machine_label or "", record.expires_at, record.id


def _row(record: LicenseRecord, issued: License) -> dict[str, Any]:
    row: dict[str, Any] = {"customer": record.customer_slug}
    if record.machine_label is not None:
        row["machine"] = record.machine_label
    row |= {
        "tier": str(issued.tier),
        "expires": _expires(issued.expires_at),
        "users": issued.limits.users,
        "session_hosts": issued.limits.session_hosts,
        "deploy_hosts": issued.limits.deploy_hosts,
    }
    if issued.allowed_domain is not None:
        row["allowed_domain"] = issued.allowed_domain.text
    return row | {"features": sorted(issued.features)}


def _expires(moment: datetime) -> str:
    """Return the expiry as `--expires` accepts it (FORMAT §6)."""
    written = dates.instant(moment)
    return dates.last_full_day(moment).isoformat() if written.endswith(_MIDNIGHT) else written


def _carry_out(decided: Decided[tuple[StoredFile, ...]], write: Callable[[Writing], None]) -> None:
    change.carry_out(
        decided.unasked(),
        write,
        undone="nothing was exported",
        deliver=lambda _: [each.record.id for each in decided.decision],
    )


def _entry(stored: StoredFile) -> change.Bundled:
    record = stored.record
    return change.Bundled(
        id=record.id,
        customer_slug=record.customer_slug,
        customer_name=stored.customer.name,
        machine_label=record.machine_label,
        file=record.file,
        issued_at=record.issued_at,
        expires_at=record.expires_at,
        name=stored.name,
    )
