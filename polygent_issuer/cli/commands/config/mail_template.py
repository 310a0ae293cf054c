"""`polygent-issue config mail-template`: the text of mail drafts, and a copy of it to edit."""

from collections.abc import Iterable
from typing import Annotated

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.delivery.template import DEFAULT, PLACEHOLDERS, load, template_path
from polygent_issuer.errors import OutputExists


def mail_template(
    invocation: Invocation,
    *,
    write: Annotated[
        bool, flag("--write", "Put the text that ships into the home, to be edited.")
    ] = False,
) -> Report:
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
    text: Iterable[Block] = map(Line, template.text.splitlines())
    if write:
        done = f"wrote {path}: edit it, and every draft from now on has its text"
        names = tuple((f"${name}", about) for name, about in PLACEHOLDERS.items())
        text = [Line(done, "good"), Fields(names)]
    members = {
        "path": str(path),
        "edited": template.edited,
        "text": template.text,
        "placeholders": dict(PLACEHOLDERS),
    }
    return Report(members, text)
