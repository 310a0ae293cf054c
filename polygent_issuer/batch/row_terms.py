"""What a row says of the terms, and what a license of such terms must be for it."""

from polygent_issuer.batch.rows import Row
from polygent_issuer.errors import InvalidTerms
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.terms import Changes
from polygent_issuer.text import shown


def changes_of(row: Row) -> Changes:
    """What the row says of the terms; its plan fills first licenses only."""
    return Changes(
        tier=row.tier,
        users=row.users,
        session_hosts=row.session_hosts,
        deploy_hosts=row.deploy_hosts,
        allowed_domain=row.allowed_domain,
        features=row.features,
    )


def require_machine(row: Row, proposal: Proposal) -> None:
    """Hold that a row with a machine is for one, else the same row would not find its license.

    Raises:
        InvalidTerms: (`invalid_terms`) when it would be an enterprise license.
    """
    if proposal.machine is not None:
        return
    for field, value in (("machine", row.machine), ("machine_info", row.machine_info)):
        if value is not None:
            raise InvalidTerms(
                f"an enterprise license is for no machine, and the row has {field} {shown(value)}",
                hint=f"leave {field} out, or say tier standard",
            )
