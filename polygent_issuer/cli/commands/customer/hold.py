"""`polygent-issue customer hold`: put a customer on hold, or release it."""

from collections.abc import Iterable
from typing import Annotated

from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerName, flag, option
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.records import customer_json
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing import customer_hold
from polygent_issuer.issuing.customer_hold import HoldPlan
from polygent_issuer.registry import Customer
from polygent_issuer.registry.holds import hold_end
from polygent_issuer.terms.parsing import parse_day


def hold(
    invocation: Invocation,
    customer: CustomerName,
    *,
    until: Annotated[
        str | None,
        option("--until", "DATE", "Set the last day, in the customer's time zone or UTC."),
    ] = None,
    release: Annotated[bool, flag("--release", "Release the customer.")] = False,
    consents: consent.ConsentOptions,
) -> Report:
    """Put a customer on hold or release it.

    Batches skip the licenses of a customer on hold and print the reason. sign, renew and reissue
    of that customer alone report the finding on-hold. Installed licenses stay valid. The hold ends
    with the day of --until, or with --release. The same command again changes reason and end.
    """
    typed, now = consent.parse_consent(consents), invocation.now
    if release and until is not None:
        raise UsageProblem("--until and --release are mutually exclusive", hint="give one of them")
    last_day = None if until is None else parse_day(until)
    slug = invocation.customer(customer).slug
    reason = typed.reason
    if not release:
        reason = consent.required_reason(invocation, reason, "put a customer on hold")
    decided = invocation.decide(
        lambda db: (
            customer_hold.plan_release(db, slug, now=now)
            if release
            else customer_hold.plan_hold(db, slug, reason=reason or "", last_day=last_day, now=now)
        )
    )
    plan = decided.decision
    if not plan.needed:
        return _report(plan, plan.customer, changed=False)
    agreed = consent.obtain(invocation, decided.behind, typed)
    done = customer_hold.carry_out(decided, reason=reason or agreed.reason, consent=agreed)
    return _report(plan, done, changed=True)


def _report(plan: HoldPlan, customer: Customer, *, changed: bool) -> Report:
    members = {
        "customer": customer_json(customer),
        "changed": changed,
        "on_hold": plan.hold is not None,
        "before": customer_hold.hold_members(plan.before),
    }
    return Report(members, _text(plan, customer, changed=changed))


def _text(plan: HoldPlan, customer: Customer, *, changed: bool) -> Iterable[Block]:
    name, end = f"{customer.name} ({customer.slug})", hold_end(customer)
    until = f"until {end}" if end else "until it is released"
    if not changed:
        state = "is not on hold" if plan.hold is None else f"is already on hold {until}"
        yield Line(f"{name} {state}; nothing was changed", "dim")
    elif plan.hold is None:
        yield Line(f"released {name}", "good")
    else:
        yield Line(f"{name} is on hold {until}: {plan.hold.reason}", "good")
        yield Line("batches skip its licenses; installed licenses stay valid")
        yield Line(f"to release it: polygent-issue customer hold {customer.slug} --release", "dim")
