"""The page that shows what the API answers now, to any request."""

from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polygent_issuer.sandbox import probe
from polygent_issuer.sandbox.probe import Answer
from polygent_issuer.sandbox.rendering import render
from polygent_issuer.sandbox.signed_in import site_of
from polygent_issuer.sandbox.site import Site

ANSWERS: Final = "/sandbox"
"""Its path."""

_LONGEST: Final = 300


async def _page(request: Request) -> Response:
    site, query = site_of(request), request.query_params
    return render(
        request,
        "answers.html",
        general=await probe.general(site),
        features=await probe.features(site),
        methods=probe.METHODS,
        asked=await _asked(site, query),
        asked_feature=query.get("feature"),
    )


async def _asked(site: Site, query: QueryParams) -> Answer | None:
    """The answer to what the form asks, if anything."""
    method, path = query.get("method", "GET"), query.get("path", "")[:_LONGEST]
    if not path or method not in probe.METHODS:
        return None
    feature = query.get("feature", "")[:_LONGEST]
    return await probe.answer(site, method, "/" + path.lstrip("/"), feature=feature or None)


ROUTES: Final = (Route(ANSWERS, _page, methods=["GET"]),)
"""It."""
