"""The form of a request, url-encoded or in parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

_FIELDS: Final = 5


@asynccontextmanager
async def form_of(request: Request, *, files: int = 0) -> AsyncIterator[FormData]:
    """What was sent; its files are closed at the end.

    Args:
        files: at most so many, beside a few fields.

    Raises:
        HTTPException: 400, the form cannot be read.
    """
    try:
        form = await request.form(max_files=files, max_fields=_FIELDS)
    except ValueError:  # a charset that decodes to nothing, or has no name
        raise HTTPException(400, "the form cannot be read") from None
    try:
        yield form
    finally:
        await form.close()
