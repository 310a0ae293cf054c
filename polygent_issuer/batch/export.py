"""Export of the current licenses as rows that `apply` reads, as a stream."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from polygent_issuer.issuing.proposal import load_license
from polygent_issuer.registry import LicenseRecord, Reading, customers, licenses
from polygent_issuer.terms import dates
from polygent_issuer.text import escape, for_toml
from polygent_issuer.verifier import License

SCHEMA: Final = "polygent-issue/1"
_MIDNIGHT: Final = "T00:00:00Z"
_HEAD: Final = """\
# Current licenses of customers that are not archived; {schema}, registry {registry}.
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
    yield _HEAD.format(schema=SCHEMA, registry=registry, made=dates.instant(now)).encode()
    for row in exported:
        lines = ("", "[[license]]", *map(for_toml, tomli_w.dumps(row).split("\n")))
        yield "\n".join(lines).encode()


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
