"""The user limit."""

from support.servers import DAY, Server

from polygent_issuer.verifier import Limits


def test_one_more_at_the_limit_is_400(server: Server) -> None:
    """Creating or activating a user at the limit gives 400."""
    server.install(0, limits=Limits(users=25, session_hosts=0, deploy_hosts=0))
    assert server.license.may_add_user(24, server.now) is None
    refusal = server.license.may_add_user(25, server.now)
    assert refusal is not None
    assert (refusal.status, refusal.code) == (400, "user_limit")
    assert refusal.message == "the license allows 25 active users, and 25 are active"


def test_a_lowered_limit_blocks_activations_alone(server: Server) -> None:
    """A lowered limit blocks only activations, until the count is below it."""
    server.install(0)
    server.now += DAY
    server.install(1, limits=Limits(users=20, session_hosts=0, deploy_hosts=0))
    server.held()
    answers = [server.license.may_add_user(active, server.now) for active in (25, 21, 20, 19)]
    assert [answer and answer.status for answer in answers] == [400, 400, 400, None]


def test_without_an_active_license_no_user_is_added(server: Server) -> None:
    """The state is checked first: 503."""
    refusal = server.license.may_add_user(0, server.now)
    assert refusal is not None
    assert (refusal.status, refusal.code) == (503, "license_none")


def test_an_activation_has_its_own_message(server: Server) -> None:
    """At the limit a deactivated user cannot be activated; active users are not affected."""
    server.install(0, limits=Limits(users=25, session_hosts=0, deploy_hosts=0))
    assert server.license.may_activate_user(24, server.now) is None
    refusal = server.license.may_activate_user(25, server.now)
    assert refusal is not None
    assert (refusal.status, refusal.code) == (400, "user_limit")
    assert refusal.message == (
        "this user cannot be activated: the license allows 25 active users, and 25 are active"
    )
    added = server.license.may_add_user(25, server.now)
    assert added is not None
    assert added.message != refusal.message
    server.held()
    server.now += 400 * DAY
    refusal = server.license.may_activate_user(0, server.now)
    assert refusal is not None
    assert (refusal.status, refusal.code) == (503, "license_expired")
