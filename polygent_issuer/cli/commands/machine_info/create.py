"""`polygent-issue machine-info create`: the document of this machine."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.output.files import write
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.machine_info import this_machine


@dataclass(frozen=True, kw_only=True, slots=True)
class CreatedDocument(Result):
    """This machine's document; `path` is None for stdout."""

    document: Mapping[str, Any]
    path: Path | None

    @property
    def text_to_stderr(self) -> bool:
        """Whether stdout carries the document itself."""
        return self.path is None

    def to_json(self) -> Mapping[str, Any]:
        """`machine_info` is the document, wherever it went."""
        file = None if self.path is None else str(self.path)
        return {"file": file, "machine_info": dict(self.document)}

    def blocks(self) -> Iterable[Block]:
        """Where it is, and which machine it names."""
        yield Line("made the machine info of this machine", "good")
        yield Fields(
            (
                ("file", "stdout" if self.path is None else str(self.path)),
                ("fingerprint", self.document["fingerprint"]),
                ("components", ", ".join(self.document["components"])),
            )
        )


def create(
    invocation: Invocation,
    *,
    to: Annotated[
        str | None, option("--output", "FILE|DIR", "Where it goes; else stdout.", short="-o")
    ] = None,
    customer: Annotated[
        str | None,
        option("--customer", "NAME", "Whose machine it says it is.", complete=candidates.customers),
    ] = None,
    product_version: Annotated[
        str | None, option("--product-version", "V", "Of the server on it.")
    ] = None,
) -> CreatedDocument:
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
    return CreatedDocument(document=json.loads(data), path=path)
