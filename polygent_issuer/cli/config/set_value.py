"""`polygent-issue config set`: change one setting; the comments of the file stay."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from polygent_issuer import settings
from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.config.show import told
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import Result
from polygent_issuer.errors import InvalidSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed(Result):
    """One setting, before and after.

    Attributes:
        old: as the file and the defaults had it; `None` when nothing was set.
        mended: the file could not be read before.
    """

    path: Path
    key: str
    old: str | None
    new: str | None
    mended: bool

    def to_json(self) -> Mapping[str, Any]:
        """`key`, `old` and `new`."""
        return {"path": str(self.path), "key": self.key, "old": self.old, "new": self.new}

    def blocks(self) -> Iterable[Block]:
        """Old → new."""
        new = told(self.new)
        if self.mended:
            yield Line(f"{self.key}: {new} (the file could not be read before)", "good")
        elif self.old == self.new:
            yield Line(f"{self.key}: {new}, as before", "dim")
        else:
            yield Line(f"{self.key}: {told(self.old)} → {new}", "good")


def set_value(
    invocation: Invocation,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="As config show names it, such as not_due.")
    ],
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="As config show prints it; '' takes it out.")
    ],
) -> Changed:
    """Change a setting, and say what it was.

    What the settings would not load with is refused, and nothing is written then.
    """
    home = invocation.home
    before = _texts(home)
    settings.set_value(home, key, value)
    after = settings.load(home, {})
    if key == "operator" and settings.OPERATOR_VARIABLE in invocation.environ:
        invocation.warn(f"{settings.OPERATOR_VARIABLE} is set, and counts more than the file")
    return Changed(
        path=settings.settings_path(home),
        key=key,
        old=None if before is None else before.get(key),
        new=after.texts.get(key),
        mended=before is None,
    )


def _texts(home: Path) -> Mapping[str, str | None] | None:
    """What the file says, the environment left out; `None` for a file that this may mend."""
    try:
        return settings.load(home, {}).texts
    except InvalidSettings:
        return None
