"""How a batch ends."""

from polygent_issuer.cli.output import Result


class LastLine(Result):
    """The last line of a batch; under `--json` one line, like those of its items."""

    __slots__ = ()

    @property
    def in_lines(self) -> bool:
        """It does."""
        return True
