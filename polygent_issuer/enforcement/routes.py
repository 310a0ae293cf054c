"""What a request is for, as far as the license cares."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Route(StrEnum):
    """The kinds of route of a server; the first six pass in every state, and so does a page."""

    LICENSE_STATUS = "license_status"
    MACHINE_INFO = "machine_info"
    LICENSE_UPLOAD = "license_upload"
    SIGN_IN = "sign_in"
    SIGN_OUT = "sign_out"
    CURRENT_USER = "current_user"
    PAGE = "page"
    API = "api"
    SESSION_AGENT = "session_agent"
    DEPLOY_AGENT = "deploy_agent"


JUDGED: Final = frozenset({Route.API, Route.SESSION_AGENT, Route.DEPLOY_AGENT})
"""The routes that need an active license; whoever adds one above decides about it here."""

WEBSOCKET: Final = "WEBSOCKET"
"""Stands in a table of routes where HTTP has its method."""

DEFAULT_ROUTES: Final[Mapping[tuple[str, str], Route]] = {
    ("GET", "/api/license"): Route.LICENSE_STATUS,
    ("POST", "/api/license"): Route.LICENSE_UPLOAD,
    ("GET", "/api/machine-info"): Route.MACHINE_INFO,
    ("POST", "/api/sign-in"): Route.SIGN_IN,
    ("POST", "/api/sign-out"): Route.SIGN_OUT,
    ("GET", "/api/me"): Route.CURRENT_USER,
    (WEBSOCKET, "/api/agents/session"): Route.SESSION_AGENT,
    (WEBSOCKET, "/api/agents/deploy"): Route.DEPLOY_AGENT,
}
"""Method and path, both exactly, of the routes that are more than API or page."""
