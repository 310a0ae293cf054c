"""`polygent-issue machine-info create`: create the machine-info.json of a machine."""

import json
from typing import Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.output.files import OutputFile, write
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.enforcement import machine
from polygent_issuer.machine_info.this_machine import describe


def create(
    invocation: Invocation,
    *,
    to: OutputFile = None,
    customer: Annotated[
        str | None,
        option(
            "--customer", "NAME", "Set the customer name in the document.", candidates.customers
        ),
    ] = None,
    product_version: Annotated[
        str | None, option("--product-version", "V", "Set the product version in the document.")
    ] = None,
) -> Report:
    """Create the machine-info.json of a machine.

    Run it on the machine itself. It is meant for servers built on our library, and for trials. The
    document contains keyed hashes of the machine id, never the id itself. An existing file is
    never overwritten. In a container, mount the host's /etc/machine-id; otherwise all containers
    of an image count as one machine.
    """
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
