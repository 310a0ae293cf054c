"""A new name for a customer, and whom it could be taken for."""

from polygent_issuer.errors import InputRefused, InvalidTerms
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import Customer, Reading, customers
from polygent_issuer.terms.parsing import parse_name
from polygent_issuer.text import list_first


def proper(text: str) -> str:
    """A name as it will be kept, in NFC.

    Raises:
        InputRefused: (`input_refused`) when it is no display name (FORMAT §1).
    """
    try:
        return parse_name(text)
    except InvalidTerms as refused:
        told = f"this cannot be a customer's name: {refused.message}"
        raise InputRefused(told, hint=refused.hint) from None


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
            hint=Hint("look whether it is the same: ", run("customer", "show", alike[0].slug)),
        ),
    )
