"""`polygent-issue machine-info create`: the document of this machine."""

import json
from typing import Annotated

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.output.files import OutputFile, write
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.machine_info import this_machine


def create(
    invocation: Invocation,
    *,
    to: OutputFile = None,
    customer: Annotated[
        str | None,
        option("--customer", "NAME", "Whose machine it says it is.", candidates.customers),
    ] = None,
    product_version: Annotated[
        str | None, option("--product-version", "V", "Of the server on it.")
    ] = None,
) -> Report:
    """Make the machine-info.json of this machine.

    For servers that are built on our library, and for trying things out. The machine's id never
    leaves it: the document holds keyed hashes of it. Nothing is overwritten. In a container,
    mount the host's /etc/machine-id: otherwise all containers of an image are one machine.
    """
    data = this_machine.describe(
        now=invocation.now, customer=customer, product_version=product_version
    )
    if warning := this_machine.image_id_warning():
        invocation.warn(warning)
    path = write(invocation, data, to, name="machine-info.json")
    made = json.loads(data)
    file = None if path is None else str(path)
    fields = Fields(
        (
            ("file", file or "stdout"),
            ("fingerprint", made["fingerprint"]),
            ("components", ", ".join(made["components"])),
        )
    )
    return Report(
        {"file": file, "machine_info": made},
        [Line("made the machine info of this machine", "good"), fields],
        text_to_stderr=path is None,
    )
