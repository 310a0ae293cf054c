"""The option `--machine-info`, and the document it names."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from polygent_issuer.issuing.proposal import ReceivedDocument

MachineInfoFile = Annotated[
    str | None,
    typer.Option(
        "--machine-info", metavar="FILE", help="The customer's machine-info.json; - is stdin."
    ),
]


def read_document(source: str | None) -> "ReceivedDocument | None":
    """Read and judge a document (FORMAT §4).

    Raises:
        UnreadableInput: (`unreadable_input`) the file cannot be read.
        InvalidMachineInfo: (`invalid_machine_info`) the document breaks §4.
    """
    if source is None:
        return None
    from polygent_issuer import files
    from polygent_issuer.issuing.proposal import ReceivedDocument
    from polygent_issuer.machine_info import document

    content = files.read_bounded(source, limit=document.LIMIT, what="machine-info document")
    return ReceivedDocument(content=content, info=document.parse(content))
