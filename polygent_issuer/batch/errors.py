"""What can be wrong with an apply file as a whole; a single row's fault is a `RefusedRow`."""

from polygent_issuer.errors import InputRefused


class InvalidApplyFile(InputRefused):
    """It is not TOML or CSV as `apply` reads them, so that nothing in it can be relied on."""

    code = "invalid_apply_file"


class DuplicateRow(InputRefused):
    """Two rows are for the same customer and machine: which one holds is not for us to say."""

    code = "duplicate_row"

    def __init__(self, *places: str) -> None:
        """Name the places of each two rows: `licenses.csv, line 2 and licenses.csv, line 7`."""
        super().__init__(
            f"two rows for one license: {'; '.join(places)}",
            hint="leave one row for each customer and machine",
        )


class RowRefused(InputRefused):
    """A row that says what no license can; the outcome of that row alone."""

    code = "invalid_row"
