"""Batches of twenty items for tests of faults: due licenses, and rows of each kind."""

import csv
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from itertools import chain
from pathlib import Path

from support.cli import Desk

ITEMS = 20
BUNDLE = "all.zip"
_ISSUED, _RENEWED, _REISSUED = 7, 7, 6
_NEXT_YEAR = timedelta(days=350)


def due(desk: Desk) -> tuple[str, ...]:
    """Issue twenty licenses that are due; return the command that renews them."""
    _apply(desk, ({**row(desk, number), "term": "1y"} for number in range(ITEMS)))
    desk.now += _NEXT_YEAR
    return ("renew", "--due-within", "30d", "--json")


def mixed(desk: Desk) -> tuple[str, ...]:
    """Issue thirteen licenses; return a command that renews 7, corrects 6, and issues 7."""
    due_, wrong = range(_RENEWED), range(_RENEWED, _RENEWED + _REISSUED)
    _apply(
        desk,
        chain(
            ({**row(desk, number), "term": "1y"} for number in due_),
            ({**row(desk, number), "term": "2y", "users": "7"} for number in wrong),
        ),
    )
    desk.now += _NEXT_YEAR
    rows = (
        *({"customer": customer(number), "users": "900"} for number in (*due_, *wrong)),
        *(row(desk, number) for number in range(_RENEWED + _REISSUED, ITEMS)),
    )
    # The kinds are mixed, so that a group has some of each.
    return apply(desk, sorted(rows, key=lambda row: row["customer"]))


def apply(desk: Desk, rows: list[dict[str, str]]) -> tuple[str, ...]:
    """Write a file of rows; return the command that applies it."""
    return ("apply", str(write_rows(desk.folder / "rows.csv", rows)), "--json")


def customer(number: int) -> str:
    """Return a customer name that is not similar to another."""
    return f"Customer {sha256(str(number).encode()).hexdigest()[:12]}"


def row(desk: Desk, number: int) -> dict[str, str]:
    """Return the row of a first license: each third is for a host, the others for a machine."""
    if number % 3 == 0:
        host = f"{number}.customers.internal"
        return {"customer": customer(number), "tier": "enterprise", "allowed_domain": host}
    name = f"{number}.json"
    desk.machine_info(name, customer=customer(number), fingerprint=f"sha256:{100 + number:064x}")
    return {"customer": customer(number), "machine_info": name}


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows as CSV."""
    columns = sorted({name for each in rows for name in each})
    with path.open("w", newline="") as stream:
        table = csv.DictWriter(stream, columns)
        table.writeheader()
        table.writerows(rows)
    return path


def _apply(desk: Desk, rows: Iterator[dict[str, str]]) -> None:
    desk.ok(*apply(desk, list(rows)))
