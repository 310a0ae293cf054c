"""`polygent-issue machine-info check`: whether a document is any good, and whose machine it is."""

from typing import Annotated

import typer

from polygent_issuer import files, machine_info
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.machine_info.check_view import Checked
from polygent_issuer.errors import HomeMissing
from polygent_issuer.issuing import machine_history
from polygent_issuer.machine_info import MachineInfo
from polygent_issuer.registry import KnownFingerprint, machines
from polygent_issuer.settings import Settings


def check(
    invocation: Invocation,
    document_file: Annotated[
        str, typer.Argument(metavar="FILE", help="The customer's machine-info.json; - is stdin.")
    ],
) -> Checked:
    """Judge a machine-info.json: what it says, how old it is, whose machine it is.

    Exit 0: it is good and fresh. Exit 3: it is refused. Exit 4: it is stale, or its fingerprint
    is a placeholder, so sign would ask for consent. No home is needed. Without one, the
    document is not compared with known machines.
    """
    what = "machine-info document"
    data = files.read_bounded(document_file, limit=machine_info.LIMIT, what=what)
    info = machine_info.parse(data)
    try:
        settings, (known, notes) = invocation.settings, _known(invocation, info)
    except HomeMissing:
        settings, known, notes = Settings(), None, ()
    max_age = settings.machine_info_max_age
    return Checked(
        name=document_file,
        info=info,
        now=invocation.now,
        max_age=max_age,
        stale=machine_info.freshness_finding(info, now=invocation.now, max_age=max_age),
        implausible=machine_info.implausible_fingerprint(info),
        known=known,
        notes=notes,
    )


def _known(
    invocation: Invocation, info: MachineInfo
) -> tuple[tuple[KnownFingerprint, ...], tuple[str, ...]]:
    with invocation.registry.reading() as db:
        known = machines.with_fingerprint(db, info.fingerprint)
        return known, machine_history.of_document(db, info, invocation.now)
