"""`polygent-issue config mail-template`: print the template of mail drafts, or write a copy."""

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
        bool, flag("--write", "Write the default template to the home for editing.")
    ] = False,
) -> Report:
    """Print the template of mail drafts.

    The first line is the subject of the drafts that --eml writes. Placeholders such as $customer
    are replaced by values of the license. An edited template is checked for mistakes.
    """
    path = template_path(invocation.home)
    if write:
        try:
            files.write_private(DEFAULT.encode(), path)
        except OutputExists as exists:
            raise OutputExists(exists.message, hint="edit this file") from None
    template = load(invocation.home)
    if not template.edited:
        invocation.note(
            "this is the default template; to edit a copy: "
            "polygent-issue config mail-template --write"
        )
    text: Iterable[Block] = (Line(line, verbatim=True) for line in template.text.splitlines())
    if write:
        done = f"wrote {path}; edit it to change all future drafts"
        names = tuple((f"${name}", about) for name, about in PLACEHOLDERS.items())
        text = [Line(done, "good"), Fields(names)]
    members = {
        "path": str(path),
        "edited": template.edited,
        "text": template.text,
        "placeholders": dict(PLACEHOLDERS),
    }
    return Report(members, text)
