"""How people name customers on the command line."""

from polygent_issuer.cli.context import Invocation
from polygent_issuer.errors import NotFound
from polygent_issuer.registry import Customer, customers


def customer(invocation: Invocation, text: str, *, checked: bool = True) -> Customer:
    """The customer of a slug or name; on a terminal also of an unambiguous beginning.

    Off a terminal a beginning is refused: a script must not mean somebody else tomorrow.

    Args:
        checked: as for `Registry.reading`.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) with the nearest names.
    """
    with invocation.registry.reading(checked=checked) as db:
        try:
            return customers.find(db, text)
        except NotFound:
            if not invocation.interactive:
                raise
            return customers.find_by_beginning(db, text)
