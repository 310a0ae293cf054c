"""`--eml DIR`: a mail draft for each license, in addition to the license file.

If a draft cannot be written, the license stays issued, and the hint of the error has the command
that writes the draft.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer import email_address
from polygent_issuer.cli.context import Invocation
from polygent_issuer.errors import InternalError, OutputProblem
from polygent_issuer.files import publication
from polygent_issuer.text import Hint, escape, join, run

if TYPE_CHECKING:
    from polygent_issuer.delivery.template import Template

_ELSEWHERE = "choose another folder with --eml"
_MOST_COMMANDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafter:
    """Writes drafts into a checked folder, from a checked template."""

    invocation: Invocation
    folder: Path
    text: "Template"

    def write(self, license_ids: Iterable[str]) -> dict[str, tuple[Path, ...]]:
        """Write the drafts of recorded licenses, by their IDs; nothing is overwritten.

        Raises:
            OutputProblem: (`output_failed`, `output_exists`) with commands for the missing drafts.
            InternalError: (`bug`) a draft does not read back as it was composed.
        """
        waiting = list(license_ids)
        written: dict[str, tuple[Path, ...]] = {}
        while waiting:
            try:
                written[waiting[0]] = self._write(waiting[0])
            except (OutputProblem, InternalError) as problem:
                raise _unwritten(problem, waiting, self.folder) from None
            del waiting[0]
        return written

    def _write(self, license_id: str) -> tuple[Path, ...]:
        from polygent_issuer.delivery.license_mail import license_mail
        from polygent_issuer.delivery.mail import drafts

        settings = self.invocation.settings
        with self.invocation.registry.reading() as db:
            letter = license_mail(db, license_id, settings)
        for contact in letter.unreachable:
            why = "not an address that all mail programs accept"
            self.invocation.warn(f"no draft for {escape(contact)}: {why}")
        if not letter.recipients:
            slug = letter.customer.slug
            self.invocation.warn(
                Hint(
                    f"the draft for {slug} has no recipient, since no contact has an address; "
                    "to add one: ",
                    run("customer", "edit", slug, "--contact", "EMAIL"),
                )
            )
        sender = email_address.parse_address(settings.mail_from) if settings.mail_from else None
        return tuple(
            publication.publish(draft.data, self.folder / draft.name)
            for draft in drafts(letter, self.text, sender)
        )


def drafter(invocation: Invocation, option: str) -> Drafter:
    """Return the drafter of `--eml`, with its folder and template checked.

    Raises:
        OutputProblem: (`output_failed`) the folder does not exist or is not writable.
        InputRefused: (`invalid_template`) the template of the home is invalid.
    """
    from polygent_issuer.delivery import template

    if not option:
        raise OutputProblem("--eml is empty", hint="give a folder, or leave out --eml")
    try:
        folder = Path(option).expanduser().absolute()
    except (RuntimeError, OSError):
        raise OutputProblem(f"invalid path: {escape(option)}", hint=_ELSEWHERE) from None
    publication.require_folder(folder, _ELSEWHERE)
    return Drafter(invocation=invocation, folder=folder, text=template.load(invocation.home))


def _unwritten(
    problem: OutputProblem | InternalError, waiting: list[str], folder: Path
) -> OutputProblem | InternalError:
    """Return the error for the first of the licenses without drafts."""
    again = [("license", "export", each[:8], "--eml", str(folder)) for each in waiting]
    more = len(again) - _MOST_COMMANDS
    rest = [Hint(f"{more} more: ", run("license", "list", "--unsent"))] if more > 0 else []
    hint = join("; ", (*(run(*words) for words in again[:_MOST_COMMANDS]), *rest))
    if isinstance(problem, InternalError):
        hint = Hint("report the output of: ", run(*again[0], "--debug"))
    return type(problem)(
        f"license {waiting[0][:8]} was issued, but its mail draft could not be written: "
        f"{problem.message}",
        hint=hint,
    )
