"""`polygent-issue config mail-template`: the text of mail drafts, and a copy of it to edit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.delivery.template import DEFAULT, PLACEHOLDERS, Template, load, template_path
from polygent_issuer.errors import OutputExists


@dataclass(frozen=True, kw_only=True, slots=True)
class MailTemplate(Result):
    """The text in force; `written` when it was just put into the home."""

    path: Path
    template: Template
    written: bool

    def to_json(self) -> Mapping[str, Any]:
        """`path`, `text`, whether it is the operator's own, and what its names stand for."""
        return {
            "path": str(self.path),
            "edited": self.template.edited,
            "text": self.template.text,
            "placeholders": dict(PLACEHOLDERS),
        }

    def blocks(self) -> Iterable[Block]:
        """The text alone; or where it now is, and what may stand in it."""
        if not self.written:
            yield from map(Line, self.template.text.splitlines())
            return
        yield Line(f"wrote {self.path}: edit it, and every draft from now on has its text", "good")
        yield Fields(tuple((f"${name}", about) for name, about in PLACEHOLDERS.items()))


def mail_template(
    invocation: Invocation,
    *,
    write: Annotated[
        bool, flag("--write", "Put the text that ships into the home, to be edited.")
    ] = False,
) -> MailTemplate:
    """Print the text of mail drafts, as --eml writes them; an edited one is checked.

    Its first line is the subject. $customer and the like stand for what a license says.
    """
    path = template_path(invocation.home)
    if write:
        try:
            files.write_private(DEFAULT.encode(), path)
        except OutputExists as exists:
            raise OutputExists(exists.message, hint="edit that file") from None
    template = load(invocation.home)
    if not template.edited:
        invocation.tell(
            "this text ships with the tool; to have your own: "
            "polygent-issue config mail-template --write"
        )
    return MailTemplate(path=path, template=template, written=write)
