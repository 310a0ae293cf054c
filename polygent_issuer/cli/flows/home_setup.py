"""The home that `init`, and the commands that bring in a key, make."""

from collections.abc import Mapping

from polygent_issuer.cli.context import Invocation, actor
from polygent_issuer.home import create
from polygent_issuer.home.create import CreatedHome
from polygent_issuer.home.settings import settings_path


def make_home(
    invocation: Invocation, settings: Mapping[str, str | None], *, lost: bool = False
) -> CreatedHome:
    """Make the home with these settings, or the registry that it has lost, by `create_home`."""
    created = create.create_home(
        invocation.home_path,
        settings,
        now=invocation.now,
        registry_id=invocation.new_id(),
        actor=lambda settings: actor(settings.operator),
        environ=invocation.environ,
        lost=lost,
    )
    _ = invocation.home  # warns of others who may look into a folder that was there before
    return created


def create_for_import(invocation: Invocation, issuer: str) -> None:
    """Make the home, or the registry that it has lost; settings that are there stay."""
    settings = {} if settings_path(invocation.home_path).exists() else {"issuer": issuer}
    make_home(invocation, settings, lost=True)


def ensure_home(invocation: Invocation) -> None:
    """Make a home with every setting at its default, unless there is one."""
    if not create.is_complete(invocation.home_path):
        created = make_home(invocation, {})
        invocation.note(f"made a home at {created.folder}")
