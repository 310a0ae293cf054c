"""`--eml DIR`: a mail draft for each contact, beside the license file.

A draft that cannot be written takes nothing back: the error says how to make it again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer import email_address, files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.errors import InternalError, OutputProblem
from polygent_issuer.hints import Hint, join, run
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.delivery.template import Template

_ELSEWHERE = "name another folder with --eml"
_MOST_COMMANDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafter:
    """Writes drafts into a folder that takes them, with a text that was checked."""

    invocation: Invocation
    folder: Path
    text: "Template"

    def write(self, license_ids: Iterable[str]) -> dict[str, tuple[Path, ...]]:
        """Write the drafts of licenses that are recorded, by their IDs; nothing is overwritten.

        Raises:
            OutputProblem: (`output_failed`, `output_exists`) with commands for what is missing.
            InternalError: (`bug`) when a draft reads back otherwise than it was composed.
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
            why = "not a mail address that every mail program takes"
            self.invocation.warn(f"no draft for {escape(contact)}: {why}")
        if not letter.recipients:
            slug = letter.customer.slug
            self.invocation.warn(
                f"the draft for {slug} names nobody, as no contact has an address: "
                f"polygent-issue customer edit {slug} --contact EMAIL"
            )
        sender = email_address.parse_address(settings.mail_from) if settings.mail_from else None
        return tuple(
            files.publish(draft.data, self.folder / draft.name)
            for draft in drafts(letter, self.text, sender)
        )


def drafter(invocation: Invocation, option: str) -> Drafter:
    """Return what `--eml` asks for, checked before anything happens.

    Raises:
        OutputProblem: (`output_failed`) when the folder is not there or takes no files.
        InputRefused: (`invalid_template`) when the text of the home is wrong.
    """
    from polygent_issuer.delivery import template

    if not option:
        raise OutputProblem("--eml is empty", hint="name a folder, or leave it out")
    try:
        folder = Path(option).expanduser().absolute()
    except (RuntimeError, OSError):
        raise OutputProblem(f"no such place: {escape(option)}", hint=_ELSEWHERE) from None
    files.require_folder(folder, _ELSEWHERE)
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
        hint = Hint("report what this prints: ", run(*again[0], "--debug"))
    return type(problem)(
        f"license {waiting[0][:8]} is issued and kept, but its mail draft is not written: "
        f"{problem.message}",
        hint=hint,
    )
