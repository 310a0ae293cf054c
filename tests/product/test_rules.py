"""The 69 rules of the product, each with the tests that run it.

Tests of the server run with one worker and with four; those of the operator's side use the real
command line, those of screens the sandbox.
"""

import ast
from pathlib import Path
from typing import Final

RULES: Final = {
    1: (
        "License keys are signed with ECDSA (ES256, P-256)",
        "test_operator.test_licenses_are_signed_with_es256",
    ),
    2: (
        "Verification is offline: no phone-home, only the configured public key",
        "test_operator.test_only_the_public_key_is_needed",
        "test_activation.test_a_worker_connects_to_no_other_machine",
    ),
    3: (
        "The operator issues licenses; they are delivered as `.lic` files",
        "test_operator.test_the_operator_delivers_lic_files",
    ),
    4: (
        "Standard: a single API server",
        "test_instances.test_a_standard_license_works_on_a_single_server",
    ),
    5: (
        "Standard is bound to one machine fingerprint",
        "test_activation.test_a_standard_license_is_bound_to_a_machine",
    ),
    6: (
        "Enterprise: a cluster of several nodes",
        "test_instances.test_an_enterprise_license_works_on_several_nodes",
    ),
    7: (
        "Enterprise is machine-agnostic, with an optional domain binding",
        "test_instances.test_an_enterprise_license_may_have_a_domain_or_none",
    ),
    8: (
        "Both have an expiration date, a user limit and feature flags",
        "test_operator.test_both_tiers_have_expiry_user_limit_and_features",
    ),
    9: (
        'Without a valid license every page redirects to "License Expired"',
        "test_screens.test_without_a_license_every_page_redirects",
    ),
    10: (
        "Admins can upload a license file there",
        "test_screens.test_an_admin_uploads_on_the_expired_page",
    ),
    11: (
        '"Download machine info" is on that screen and in Settings, License',
        "test_screens.test_machine_info_is_downloaded_on_both_screens",
    ),
    12: (
        "`machine-info.json` has the server's machine fingerprint",
        "test_activation.test_machine_info_has_the_fingerprint",
    ),
    13: (
        "Its freshness is checked before signing",
        "test_operator.test_stale_machine_info_is_not_signed",
    ),
    14: (
        "The operator signs and sends back a `.lic`",
        "test_operator.test_a_signed_machine_info_becomes_a_license_of_the_server",
    ),
    15: (
        '"Upload license" is on the License page',
        "test_screens.test_a_license_is_uploaded_on_the_license_page",
    ),
    16: (
        "At upload the API checks the signature",
        "test_activation.test_the_signature_is_checked_at_upload",
    ),
    17: (
        "At upload the API checks the fingerprint (standard)",
        "test_activation.test_the_fingerprint_is_checked_at_upload",
    ),
    18: (
        "At upload the API checks that it is not expired",
        "test_activation.test_the_expiry_is_checked_at_upload",
    ),
    19: (
        "The issue date is within the freshness window",
        "test_activation.test_the_issue_date_is_checked_at_upload",
    ),
    20: (
        "After that the app works at once",
        "test_activation.test_after_an_upload_the_product_works_at_once",
    ),
    21: (
        "E-mail alerts come 30, 14, 7 and 1 days before the expiry",
        "test_states.test_a_milestone_is_mailed_on_its_day",
    ),
    22: (
        "A banner appears for admins as the date approaches",
        "test_states.test_a_banner_appears_for_admins",
        "test_screens.test_only_admins_see_the_banner",
    ),
    23: (
        "A renewal needs no new machine-info",
        "test_operator.test_a_renewal_needs_no_machine_info",
    ),
    24: (
        "The renewed file is uploaded under Settings, License",
        "test_screens.test_a_license_is_uploaded_on_the_license_page",
    ),
    25: (
        "It takes effect at once, without restart",
        "test_activation.test_a_renewal_works_without_a_restart",
    ),
    26: (
        "Enterprise renews the same way",
        "test_instances.test_an_enterprise_license_is_renewed_on_every_instance",
    ),
    27: (
        "Enterprise renews with a payload without fingerprint",
        "test_operator.test_an_enterprise_renewal_has_no_fingerprint",
    ),
    28: (
        "It is uploaded to every API instance",
        "test_instances.test_an_enterprise_license_is_renewed_on_every_instance",
    ),
    29: (
        "The same file can be installed on all nodes",
        "test_instances.test_an_enterprise_license_works_on_several_nodes",
    ),
    30: (
        "It suits blue/green deployments and frequent OS reimaging",
        "test_instances.test_a_reimaged_node_takes_the_same_file",
    ),
    31: (
        "It may carry an `allowedDomain` wildcard",
        "test_instances.test_the_status_has_the_allowed_domain",
        "test_operator.test_a_license_may_carry_a_domain",
    ),
    32: (
        "The Host header of every request is checked against it",
        "test_instances.test_the_host_of_every_request_is_checked",
    ),
    33: (
        "A changed host name needs a reissue",
        "test_instances.test_a_changed_host_name_needs_a_reissue",
        "test_operator.test_a_license_may_carry_a_domain",
    ),
    34: (
        "Each instance verifies independently",
        "test_instances.test_instances_verify_independently",
    ),
    35: (
        "Instances are not coordinated",
        "test_instances.test_instances_are_not_coordinated",
    ),
    36: (
        "Only enterprise has `sso-saml`",
        "test_features.test_features_of_enterprise_licenses",
        "test_features.test_a_standard_license_cannot_have_them",
    ),
    37: (
        "Only enterprise has `audit-export`",
        "test_features.test_features_of_enterprise_licenses",
        "test_features.test_a_standard_license_cannot_have_them",
    ),
    38: (
        "Only enterprise has `multi-tenant`",
        "test_features.test_features_of_enterprise_licenses",
        "test_features.test_a_standard_license_cannot_have_them",
    ),
    39: (
        "The license decides which modules are active",
        "test_features.test_the_license_decides_which_modules_are_active",
    ),
    40: (
        "Without a feature its endpoints return 403",
        "test_features.test_the_endpoints_of_a_missing_feature_answer_403",
    ),
    41: (
        "Without a feature the UI hides its navigation",
        "test_screens.test_navigation_hides_what_the_license_lacks",
    ),
    42: (
        "Without `multiple-active-sessions` a sign-in revokes the user's other sessions",
        "test_features.test_without_the_feature_a_sign_in_revokes_other_sessions",
        "test_features.test_with_the_feature_sessions_are_concurrent",
    ),
    43: (
        "Without it the Profile, Devices tab is hidden",
        "test_screens.test_the_devices_tab_needs_concurrent_sessions",
    ),
    44: (
        "The license sets a maximum of active users",
        "test_limits.test_the_license_sets_the_number_of_users",
    ),
    45: (
        "At the limit creating users is blocked with 400",
        "test_limits.test_at_the_limit_no_user_is_created",
    ),
    46: (
        "At the limit activating deactivated users is blocked",
        "test_limits.test_at_the_limit_no_user_is_activated",
    ),
    47: (
        "At the limit active users are unaffected",
        "test_limits.test_at_the_limit_active_users_keep_working",
    ),
    48: (
        "A renewal with a lower limit leaves everyone with access",
        "test_limits.test_a_lower_limit_leaves_everyone_with_access",
    ),
    49: (
        "New activations are blocked until the number is below it",
        "test_limits.test_a_lower_limit_blocks_activations_until_the_number_is_below",
    ),
    50: (
        "After the expiry all API endpoints but six return 503",
        "test_states.test_after_the_expiry_all_api_endpoints_answer_503",
        "test_states.test_after_the_expiry_the_six_endpoints_answer",
    ),
    51: (
        "Routes outside the API are not blocked",
        "test_states.test_after_the_expiry_pages_and_connections_work",
    ),
    52: (
        "Agent hosts are refused at connect with a license error",
        "test_states.test_after_the_expiry_agents_are_refused",
    ),
    53: (
        "The full-screen page appears for all users",
        "test_screens.test_after_the_expiry_all_users_see_the_page",
    ),
    54: (
        "Admins can still upload",
        "test_activation.test_a_renewal_ends_an_expiry_at_once",
    ),
    55: (
        "Background services pause automatically",
        "test_states.test_background_services_pause_at_the_expiry",
    ),
    56: (
        "An upload takes effect at once",
        "test_activation.test_a_renewal_ends_an_expiry_at_once",
    ),
    57: (
        "The status has license ID, customer, tier, expiry, days left",
        "test_screens.test_the_status_names_license_and_customer",
    ),
    58: (
        "The status has users active and their limit",
        "test_screens.test_the_status_counts_users_and_hosts",
    ),
    59: (
        "The status has connected and allowed hosts",
        "test_limits.test_the_status_counts_hosts_over_all_workers",
    ),
    60: (
        "The status has the active feature flags",
        "test_screens.test_the_status_lists_the_active_features",
    ),
    61: (
        "The status has the machine ID or the allowed domain",
        "test_screens.test_the_status_has_the_machine_or_the_domain",
    ),
    62: (
        "The status has the audit log of installs (enterprise)",
        "test_instances.test_the_log_of_installs_is_the_same_in_all_workers",
        "test_screens.test_the_status_has_the_log_of_installs",
    ),
    63: (
        "Session and deploy agents that are connected are capped",
        "test_limits.test_hosts_of_each_kind_are_capped",
    ),
    64: (
        'One more is refused with "concurrent host limit reached"',
        "test_limits.test_one_more_host_is_refused_until_one_disconnects",
    ),
    65: (
        "A reconnect of a live host counts once and always succeeds",
        "test_limits.test_a_reconnect_always_succeeds_and_counts_once",
    ),
    66: (
        'After a reinstall the page has the title "Machine identity changed"',
        "test_screens.test_a_new_machine_is_named_with_the_way_out",
        "test_states.test_a_new_machine_needs_a_reissue",
    ),
    67: (
        '"License domain mismatch" is shown for another Host',
        "test_screens.test_another_host_name_is_named_with_the_way_out",
        "test_instances.test_a_wildcard_matches_one_level",
    ),
    68: (
        "Alerts run daily at 09:00, and send no old milestone again",
        "test_states.test_alerts_run_daily_at_nine",
    ),
    69: (
        "A clock set back by over a day makes the license invalid",
        "test_states.test_a_clock_that_is_set_back_makes_the_license_invalid",
    ),
}
"""Number of a rule: its text, and the tests that run it as module and function."""


def written() -> set[str]:
    """Return module and function of each test in this folder."""
    return {
        f"{path.stem}.{each.name}"
        for path in Path(__file__).parent.glob("test_*.py")
        for each in ast.parse(path.read_text()).body
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    }


def test_each_rule_has_its_tests() -> None:
    """All 69 rules are there, and each names tests that exist."""
    assert list(RULES) == list(range(1, 70))
    named = {test for _, *tests in RULES.values() for test in tests}
    assert all(len(row) > 1 for row in RULES.values())
    assert sorted(named - written()) == []


def test_no_test_is_without_a_rule() -> None:
    """Each test of this folder runs a rule, this file's own aside."""
    named = {test for _, *tests in RULES.values() for test in tests}
    rest = {each for each in written() - named if not each.startswith("test_rules.")}
    assert sorted(rest) == []
