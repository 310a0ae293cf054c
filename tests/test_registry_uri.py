"""URIs of a registry in PostgreSQL: no password, and no server that is not verified."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from polygent_issuer.errors import InvalidSettings
from polygent_issuer.registry_uri import is_database, parse

SECRET = "s3cret"


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://db.example/polygent",
        "postgres://ada@db.example:5433/polygent?sslrootcert=/etc/ca.pem",
        "postgresql://a.example:5432,b.example/polygent?target_session_attrs=read-write",
        "postgresql://[::1]:5432/polygent",
        "postgresql:///polygent?host=/run/postgresql",
        "postgresql:///?service=team",
        "postgresql://%2Frun%2Fpostgresql/polygent",
        "postgresql://db.example/polygent?sslmode=verify-full",
        "postgresql://db.example/polygent?",
    ],
)
def test_a_uri_is_kept_as_it_is(uri: str) -> None:
    """A valid URI is returned unchanged."""
    assert parse(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://ada:{SECRET}@db.example/polygent",
        f"postgresql://ada:{SECRET}@a.example,b.example/polygent",
        f"postgresql://db.example/polygent?password={SECRET}",
        f"postgresql://db.example/polygent?pass%77ord={SECRET}",
        f"postgresql://ada:{SECRET}?service=a@db.example/polygent",
        f"postgresql://ada:{SECRET}#service=a@db.example/polygent",
        f"postgresql://ada:{SECRET}/polygent",
        f"postgresql://ada:{SECRET},db.example/polygent",
    ],
)
def test_a_password_is_refused_and_not_quoted(uri: str) -> None:
    """A password is found wherever libpq would read one, and no message has it."""
    with pytest.raises(InvalidSettings) as raised:
        parse(uri)
    assert SECRET not in f"{raised.value.message} {raised.value.hint}"


@pytest.mark.parametrize(
    "uri",
    [
        "PostgreSQL://db.example/polygent",
        "postgresql:db.example/polygent",
        "postgresql://db.example",
        "postgresql://db.example/",
        "postgresql://[::1/polygent",
        "postgresql://db℀example/polygent",
        "postgresql://db.example/polygent?sslmode",
        "postgresql://db.example/polygent?sslmode=disable",
        "postgresql://db.example/polygent?sslmode=Verify-Full",
        "postgresql://db.example/polygent?ssl=true",
        "postgresql://db.example/polygent?gssencmode=require",
        "postgresql://db.example/polygent?options=-csearch_path%3Dpublic",
        "postgresql://db.example/polygent#fragment",
        "postgresql://db.example/poly\ngent",
        " postgresql://db.example/polygent",
    ],
)
def test_an_invalid_uri_is_refused(uri: str) -> None:
    """The error is `invalid_settings`, whatever is wrong."""
    with pytest.raises(InvalidSettings):
        parse(uri)


def test_a_scheme_in_other_letters_is_one_of_a_database() -> None:
    """So `PostgreSQL://…` is refused as a URI, and not taken for a name of a file."""
    assert is_database("PostgreSQL://db.example/polygent")
    assert not is_database("postgresql")


PARTS = st.sampled_from(
    ["ada", ":", "@", "/", "?", "#", "&", "=", ",", "[", "]", "%40", "%3A", "service", "password"]
)


@given(rest=st.lists(PARTS, max_size=12).map("".join))
def test_libpq_finds_no_password_in_an_accepted_uri(rest: str) -> None:
    """A URI that `parse` accepts has no password for libpq, however it is written."""
    uri = f"postgresql://{rest}"
    try:
        parse(uri)
        options = conninfo_to_dict(uri)
    except (InvalidSettings, psycopg.Error):
        return
    assert "password" not in options
