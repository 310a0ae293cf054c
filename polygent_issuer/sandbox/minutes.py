"""What a server does by itself while nobody asks it: once a minute it looks at its license."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from starlette.applications import Starlette

from polygent_issuer.enforcement import StoreFailed
from polygent_issuer.sandbox.site import Site

MINUTE = 60.0


def every(seconds: float, site: Site) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """The lifespan of an app that ticks, at once and then again."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        ticking = asyncio.create_task(_tick(seconds, site))
        try:
            yield
        finally:
            ticking.cancel()

    return lifespan


async def _tick(seconds: float, site: Site) -> None:
    while True:
        with suppress(StoreFailed):  # the next request is answered with it
            site.tick()
        await asyncio.sleep(seconds)
