"""FORMAT §2: the catalogue, word for word."""

from polygent_issuer.verifier import Tier
from polygent_issuer.verifier.identifiers import ENTERPRISE_FEATURES, FEATURES, is_feature_name


def test_catalogue_is_the_formats() -> None:
    """Twelve features for any tier, three for enterprise alone, two tiers."""
    assert " ".join(FEATURES) == (
        "workflows automations planner round-table insights ticket-sync deployments"
        " code-review verification memory bots multiple-active-sessions"
    )
    assert " ".join(ENTERPRISE_FEATURES) == "sso-saml audit-export multi-tenant"
    assert list(Tier) == ["standard", "enterprise"]
    assert all(map(is_feature_name, (*FEATURES, *ENTERPRISE_FEATURES)))
