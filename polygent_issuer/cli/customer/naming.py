"""A new name for a customer, and whom it could be taken for."""

from polygent_issuer.errors import InputRefused
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.registry import Customer, Reading, customers
from polygent_issuer.text import list_first, nfc
from polygent_issuer.verifier.names import display_name_problem


def proper(text: str) -> str:
    """A name as it will be kept, in NFC.

    Raises:
        InputRefused: (`input_refused`) when it is no display name (FORMAT §1).
    """
    name = nfc(text)
    problem = display_name_problem(name)
    if problem is not None:
        raise InputRefused(
            f"this cannot be a customer's name: {problem}",
            hint="a name of 1 to 200 visible characters",
        )
    return name


def similar(db: Reading, name: str, *, besides: Customer | None = None) -> tuple[Finding, ...]:
    """`similar-customer`, if the name is like a known one: case, form, spacing, one letter.

    Args:
        besides: the customer who is to have the name.
    """
    alike = customers.similar(db, name, besides=besides)
    if not alike:
        return ()
    names = list_first([f"{other.name} ({other.slug})" for other in alike])
    return (
        Finding(
            code=FindingCode.SIMILAR_CUSTOMER,
            message=f"the name {name} is very like {names}",
            hint=f"look whether it is the same: polygent-issue customer show {alike[0].slug}",
        ),
    )
