"""Whether one more user may be active.

Ask within the transaction that counts the active users and adds one, under its lock: two requests
that count at the same time would both be told yes.
"""

from ..verifier import License
from .refusals import Refusal


def may_add_user(held: License, active: int) -> Refusal | None:
    """400 at the limit, or above it after a renewal lowered it; users who are active stay so.

    Args:
        active: how many users are active now, without the one to be created or activated.
    """
    if active < held.limits.users:
        return None
    return Refusal(
        status=400,
        code="user_limit",
        message=f"the license is for {held.limits.users} active users, and {active} are",
        hint="deactivate a user, or ask for a license for more",
    )
