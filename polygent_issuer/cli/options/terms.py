"""The options that say what a customer may use, and the `Changes` they make."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.options.common import OptionGroup, option
from polygent_issuer.errors import InvalidTerms, UsageProblem
from polygent_issuer.text import nearest

if TYPE_CHECKING:
    from datetime import datetime

    from polygent_issuer.home.settings import Settings
    from polygent_issuer.terms.parsing import Changes
    from polygent_issuer.verifier import Tier

_option = partial(option, rich_help_panel="Terms")


def _count(text: str) -> int:
    from polygent_issuer.terms.parsing import parse_count

    try:
        return parse_count(text)
    except InvalidTerms as refused:
        raise typer.BadParameter(refused.message) from None


def _limit(name: str, text: str) -> Any:  # noqa: ANN401 - as typer.Option
    return _option(name, "N", text, parser=_count)


@dataclass(frozen=True, kw_only=True, slots=True)
class TermsOptions(OptionGroup):
    """What `sign`, `renew` and `reissue` all take."""

    plan: Annotated[
        str | None, _option("--plan", "NAME", "A plan of the settings.", candidates.plans)
    ] = None
    tier: Annotated[
        str | None, _option("--tier", "TIER", "standard or enterprise.", candidates.tiers)
    ] = None
    term: Annotated[str | None, _option("--term", "TERM", "How long: 1y, 6mo or 90d.")] = None
    expires: Annotated[
        str | None, _option("--expires", "DATE", "The last day covered, or an RFC 3339 instant.")
    ] = None
    basis: Annotated[
        str | None,
        _option(
            "--from", "BASIS", "Where the term starts: expiry, now or a date.", candidates.bases
        ),
    ] = None
    users: Annotated[int | None, _limit("--users", "How many users.")] = None
    session_hosts: Annotated[int | None, _limit("--session-hosts", "How many session hosts.")] = (
        None
    )
    deploy_hosts: Annotated[int | None, _limit("--deploy-hosts", "How many deploy hosts.")] = None
    allowed_domain: Annotated[
        str | None,
        _option("--allowed-domain", "HOST", "Enterprise: its host; *.acme.internal: one label."),
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstTerms(TermsOptions):
    """What only `sign` takes beside them."""

    feature: Annotated[
        list[str] | None,
        _option("--feature", "NAME", "Exactly these features; repeatable.", candidates.features),
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NextTerms(TermsOptions):
    """What only `renew` and `reissue` take beside them."""

    no_allowed_domain: Annotated[
        bool, _option("--no-allowed-domain", None, "Enterprise: any host.")
    ] = False
    add_feature: Annotated[
        list[str] | None,
        _option("--add-feature", "NAME", "One feature more; repeatable.", candidates.features),
    ] = None
    remove_feature: Annotated[
        list[str] | None,
        _option("--remove-feature", "NAME", "One feature less; repeatable.", candidates.features),
    ] = None


def parse_changes(settings: "Settings", typed: FirstTerms | NextTerms) -> "Changes":
    """Return what was typed, parsed; an absent option stays absent.

    Raises:
        InvalidTerms: (`invalid_terms`) a term, date or domain that is none.
        NotFound: (`not_found`) no such plan.
        UsageProblem: (`usage`) no such tier.
    """
    from polygent_issuer.terms.parsing import Changes, parse_domain, parse_expires, parse_term

    first = typed if isinstance(typed, FirstTerms) else FirstTerms()
    later = typed if isinstance(typed, NextTerms) else NextTerms()
    return Changes(
        plan=None if typed.plan is None else settings.plan(typed.plan),
        tier=None if typed.tier is None else _tier(typed.tier),
        term=None if typed.term is None else parse_term(typed.term),
        expires=None if typed.expires is None else parse_expires(typed.expires),
        basis=_basis(typed.basis),
        users=typed.users,
        session_hosts=typed.session_hosts,
        deploy_hosts=typed.deploy_hosts,
        allowed_domain=None if typed.allowed_domain is None else parse_domain(typed.allowed_domain),
        no_allowed_domain=later.no_allowed_domain,
        features=tuple(first.feature) if first.feature else None,
        add_features=tuple(later.add_feature or ()),
        remove_features=tuple(later.remove_feature or ()),
    )


def _tier(text: str) -> "Tier":
    from polygent_issuer.terms.parsing import parse_tier

    try:
        return parse_tier(text)
    except InvalidTerms as refused:
        raise UsageProblem(refused.message, hint="--tier standard or --tier enterprise") from None


def _basis(text: str | None) -> "str | datetime | None":
    from polygent_issuer.terms.parsing import parse_date_or_instant

    if text is None or text in ("expiry", "now"):
        return text
    try:
        return parse_date_or_instant(text)
    except InvalidTerms as refused:
        meant = nearest(text, ("expiry", "now"))
        instead = f"--from expiry, --from now, or {refused.hint}"
        hint = f"did you mean --from {meant}?" if meant else instead
        raise InvalidTerms(refused.message, hint=hint) from None
