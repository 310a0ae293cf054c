"""What can be wrong with an apply file as a whole; a single row's fault is a `RefusedRow`."""

from typing import TYPE_CHECKING

from polygent_issuer.errors import InputRefused

if TYPE_CHECKING:
    from polygent_issuer.batch.rows import RefusedRow


class InvalidApplyFile(InputRefused):
    """It is not TOML or CSV as `apply` reads them, so that nothing in it can be relied on."""

    code = "invalid_apply_file"


class DuplicateRow(InputRefused):
    """Two rows are for the same customer and machine: which one holds is not for us to say."""

    code = "duplicate_row"


class RowRefused(InputRefused):
    """A row that says what no license can; the outcome of that row alone."""

    code = "invalid_row"

    def __init__(self, row: "RefusedRow") -> None:
        """Name the field, as the row's reader did."""
        field = "" if row.field is None else f"{row.field}: "
        super().__init__(f"{field}{row.message}", hint=row.hint)
