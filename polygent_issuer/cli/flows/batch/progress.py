"""The progress of a batch: a bar on a terminal's stderr, nothing elsewhere."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.plain_text import is_plain


def progress(
    invocation: Invocation, activity: str, total: int
) -> AbstractContextManager[Callable[[], None]]:
    """Show a bar with count, rate and time left; it disappears at the end.

    Args:
        activity: the text before it: `renewing`.
        total: how many items there are.

    Returns:
        What gives the call that moves it by one.
    """
    invisible = invocation.quiet or not invocation.interactive or is_plain(sys.stderr)
    if invisible or total == 0:
        return nullcontext(lambda: None)
    from polygent_issuer.cli.flows.batch.bar import bar

    return bar(activity, total)
