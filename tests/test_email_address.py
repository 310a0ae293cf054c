"""Mail addresses: what is read is exactly one."""

from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.email_address import Mailbox, join_contacts, parse_address, split_contacts


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("ops@acme.example", "", "ops@acme.example"),
        ("Ada <ada@acme.example>", "Ada", "ada@acme.example"),
        ('"Lovelace, Ada" <ada@acme.example>', "Lovelace, Ada", "ada@acme.example"),
        ("Zoë Müller <z+lic@mail.acme.example>", "Zoë Müller", "z+lic@mail.acme.example"),
        ("o'neil@xn--bcher-kva.example", "", "o'neil@xn--bcher-kva.example"),
        ("root@localhost", "", "root@localhost"),
        ('"', None, None),
        ("", None, None),
        ("Ada", None, None),
        ("+49 30 1234", None, None),
        ("a@b@c", None, None),
        ("a@b, c@d", None, None),
        ("a,b@acme.example", None, None),
        ("a..b@acme.example", None, None),
        (".a@acme.example", None, None),
        ("a b@acme.example", None, None),
        ('"a"@acme.example', None, None),
        ("a(x)@acme.example", None, None),
        ("a@-acme.example", None, None),
        ("a@acme..example", None, None),
        ("a@[127.0.0.1]", None, None),
        ("ops@bücher.example", None, None),
        ("jürgen@acme.example", None, None),
        ("<a@b>", None, None),
        (" <a@b>", None, None),
        ("Ada <a@b", None, None),
        ("Ada <a@b>>", None, None),
        ("Ada <x@y> <a@b>", None, None),
        ("Ada\r\nBcc: x <a@b>", None, None),
        ("a@b\n", None, None),
        ("Ada\u202e <a@b>", None, None),
        ("=?utf-8?q?=0D=0ABcc:t=40x.example?= <r@x.example>", None, None),
        ('"=?utf-8?b?QWRh?=" <ada@acme.example>', None, None),
        ("=?utf-8?q?=0D=0ABcc=3At=40x.example?=@acme.example", None, None),
        ("a=?b@acme.example", None, None),
        ("x" * 65 + "@acme.example", None, None),
        ("x@" + "a." * 127 + "b", None, None),
    ],
)
def test_mailboxes(text: str, name: str | None, address: str | None) -> None:
    """An address alone, or a name and one; nothing that a header could read otherwise."""
    wanted = None if address is None else Mailbox(name=name or "", address=address)
    assert parse_address(text) == wanted


def test_the_host_is_behind_the_at() -> None:
    """Of either form."""
    found = parse_address("Ada <ada@mail.acme.example>")
    assert found is not None
    assert found.host == "mail.acme.example"


@given(st.from_regex(r"[^@\s<>]{1,20}@[^@\s<>]{1,20}", fullmatch=True))
def test_the_standard_library_reads_the_same_address(text: str) -> None:
    """Whatever is accepted is one `addr-spec` of RFC 5322, with nothing left over."""
    found = parse_address(text)
    if found is not None:
        assert Address(addr_spec=found.address).addr_spec == text


@pytest.mark.parametrize(
    ("text", "contacts"),
    [
        ("ops@a.example", ("ops@a.example",)),
        (" ops@a.example ; Ada <ada@a.example>;", ("ops@a.example", "Ada <ada@a.example>")),
        ("ops@a.example\r\nAda", ("ops@a.example", "Ada")),
        ('"Doe; Jane" <j@a.example>; Ada', ('"Doe; Jane" <j@a.example>', "Ada")),
        ('"Ada; ""A""";Bob', ('Ada; "A"', "Bob")),
        ('5" pipes; Ada', ('5" pipes', "Ada")),
        (" ; ", ()),
    ],
)
def test_a_cell_has_several_contacts(text: str, contacts: tuple[str, ...]) -> None:
    """Semicolons and line ends separate contacts, except in quotes."""
    assert split_contacts(text) == contacts


@given(st.lists(st.text('a;" @<', min_size=1).map(str.strip).filter(bool)))
def test_joined_contacts_are_split_again(contacts: list[str]) -> None:
    """Any contact survives, with semicolons and quotes in it."""
    assert split_contacts(join_contacts(contacts)) == tuple(contacts)
