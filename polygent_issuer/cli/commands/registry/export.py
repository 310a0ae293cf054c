"""`polygent-issue registry export`: export current licenses as TOML for `apply`."""

from collections import Counter
from pathlib import Path
from typing import Any

from polygent_issuer.batch import export as exporting
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Line
from polygent_issuer.cli.output.files import STDOUT, OutputFile
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import OutputExists, UsageProblem
from polygent_issuer.files import disk, publication
from polygent_issuer.text import Hint, counted, run

_NAME = "licenses.toml"


def export(invocation: Invocation, *, to: OutputFile = None) -> Report:
    """Export current licenses as TOML for apply.

    There is one row for each customer and machine. Terms are read from the signed files. Archived
    customers are left out. The file is confidential; an existing file is never overwritten.
    """
    if to == STDOUT and invocation.as_json:
        raise UsageProblem(
            "--json and --output - are mutually exclusive", hint="give --output FILE"
        )
    with invocation.registry.reading() as db:
        rows = tuple(exporting.rows(db))
    path = None
    in_json = to is None and invocation.as_json
    if not in_json:
        registry_id = invocation.registry.id
        toml = b"".join(exporting.toml(rows, now=invocation.now, registry_id=registry_id))
        if to is None or to == STDOUT:
            result.write_bytes(toml)
        else:
            path = _write_file(Path(to).absolute(), toml)
    counts = Counter((row["customer"], row.get("machine")) for row in rows)
    for (customer, machine), count in counts.items():
        if count > 1:
            what = "without a machine" if machine is None else f"for the machine {machine}"
            invocation.warn(
                Hint(
                    f"{customer} has {count} current licenses {what}, so apply will refuse a "
                    "changed row for it; to see them: ",
                    run("customer", "show", customer),
                )
            )
    count, where = len(rows), "stdout" if path is None else str(path)
    members: dict[str, Any] = {"licenses": iter(rows)} if in_json else {"file": where}
    done = Line(f"exported {counted(count, 'current license')} to {where}", "good")
    return Report({**members, "count": count}, [done], text_to_stderr=path is None)


def _write_file(target: Path, toml: bytes) -> Path:
    try:
        return publication.write_private(toml, target / _NAME if disk.is_folder(target) else target)
    except OutputExists as exists:
        raise OutputExists(exists.message, hint="choose another file with --output") from None
