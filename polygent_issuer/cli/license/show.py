"""`polygent-issue license show`: one license, read from its verified file."""

from typing import Annotated

import typer

from polygent_issuer import dates
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.license.listing import Listed
from polygent_issuer.cli.license.show_view import ShownLicense
from polygent_issuer.issuing.stored import read_license
from polygent_issuer.registry import (
    JournalRow,
    LicenseRecord,
    Reading,
    customers,
    documents,
    journal,
    keys,
    licenses,
)

LicenseId = Annotated[
    str,
    typer.Argument(
        metavar="LICENSE",
        autocompletion=candidates.licenses,
        help="An id, or its beginning (4 characters or more).",
    ),
]


def show(invocation: Invocation, license_id: LicenseId) -> ShownLicense:
    """Show a license: what its file says, what became of it, and who did what with it.

    The claims are read from the stored file, verified again with the key that is pinned for it.
    """
    window = invocation.settings.upload_window_or_assumed
    with invocation.registry.reading() as db:
        record = licenses.find(db, license_id)
        held = read_license(db, record)
        document = record.document_id
        return ShownLicense(
            listed=Listed.of(record, invocation.now),
            record=record,
            license=held,
            customer=customers.get(db, record.customer_slug),
            key=keys.pinned(db, record.kid),
            document=None if document is None else documents.get(db, document),
            upload_before=dates.upload_deadline(held.issued_at, window),
            history=_history(db, record),
        )


def _history(db: Reading, record: LicenseRecord) -> tuple[JournalRow, ...]:
    """The rows of the journal about this license, and the one that tells of its successor."""
    customer = customers.get(db, record.customer_slug)
    return tuple(
        row
        for row in journal.rows(db, customer=customer)
        if record.id == row.license or record.id in _replaced(row)
    )


def _replaced(row: JournalRow) -> tuple[str, ...]:
    """The licenses that were replaced by what a row tells of: one, or several at once."""
    said = row.details.get("replaces", ())
    return (said,) if isinstance(said, str) else tuple(said) if isinstance(said, list) else ()
