"""Creation of a home by `init`, or by the command that needs one first."""

from collections.abc import Mapping

from polygent_issuer.cli.context import Invocation, actor
from polygent_issuer.home import create
from polygent_issuer.home.create import CreatedHome
from polygent_issuer.home.settings import settings_path


def make_home(
    invocation: Invocation, settings: Mapping[str, str | None], *, lost: bool = False
) -> CreatedHome:
    """Create a home with these settings, or the missing registry of one, by `create_home`."""
    created = create.create_home(
        invocation.home_path,
        settings,
        now=invocation.now,
        registry_id=invocation.new_id(),
        actor=lambda settings: actor(settings.operator),
        environ=invocation.environ,
        lost=lost,
    )
    _ = invocation.home  # warns if an existing folder is accessible to other users
    return created


def create_for_import(invocation: Invocation, issuer: str) -> None:
    """Create a home, or the missing registry of one; existing settings are kept."""
    settings = {} if settings_path(invocation.home_path).exists() else {"issuer": issuer}
    make_home(invocation, settings, lost=True)


def ensure_home(invocation: Invocation) -> None:
    """Create a home with default settings, unless there is one."""
    if not create.is_complete(invocation.home_path):
        created = make_home(invocation, {})
        invocation.note(f"created a home at {created.folder}")
