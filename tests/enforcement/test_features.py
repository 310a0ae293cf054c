"""Features of the license."""

from support.servers import DAY, Server

WITH = "multiple-active-sessions"


def test_a_missing_feature_is_403_with_its_name(server: Server) -> None:
    """A missing feature gives 403 with its name."""
    server.install(0, features=("insights",))
    assert server.license.feature("insights", server.now) is None
    refusal = server.license.feature("sso-saml", server.now)
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.feature) == (403, "feature_missing", "sso-saml")
    assert refusal.to_json()["error"]["feature"] == "sso-saml"


def test_the_list_has_the_features_for_a_ui(server: Server) -> None:
    """The list is empty unless the license is active, so that a UI hides everything."""
    server.install(0, features=("a-newer-module", "insights"))
    assert server.license.features(server.now) == ("a-newer-module", "insights")
    server.now += 365 * DAY
    assert server.license.features(server.now) == ()
    refusal = server.license.feature("insights", server.now)
    assert refusal is not None
    assert (refusal.status, refusal.code) == (503, "license_expired")


def test_a_new_sign_in_revokes_the_others(server: Server) -> None:
    """Without `multiple-active-sessions` a new sign-in revokes the user's other sessions."""
    server.install(0)
    assert server.license.sessions_to_revoke(["a", "b"], server.now) == ("a", "b")
    server.now += DAY
    server.install(1, features=(WITH,))
    assert server.license.sessions_to_revoke(["a", "b"], server.now) == ()


def test_an_expiry_signs_no_user_out(server: Server) -> None:
    """The installed license decides even if it is expired; without one, one session remains."""
    assert server.license.sessions_to_revoke(["a"], server.now) == ("a",)
    server.install(0, features=(WITH,))
    server.now += 365 * DAY
    assert server.license.sessions_to_revoke(["a"], server.now) == ()
