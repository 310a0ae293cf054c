"""Mail drafts, read back by Python's own parser."""

from dataclasses import replace
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.licenses import Books

from polygent_issuer.delivery.letter import Letter, letter_of
from polygent_issuer.delivery.mail import drafts
from polygent_issuer.delivery.template import DEFAULT, Template
from polygent_issuer.mailbox import Mailbox, parse
from polygent_issuer.settings import Settings
from polygent_issuer.verifier.names import display_name_problem

SHIPS = Template(text=DEFAULT, edited=False)
SENDER = Mailbox(name="Polygent", address="licenses@polygent.example")


@pytest.fixture
def letter(books: Books) -> Letter:
    """Of a license whose customer has two contacts with an address, and one without."""
    contacts = ("Zoë Müller <zoe@acme.example>", "+49 30 1234", "ops@acme.example")
    acme = books.customer("Müller & Söhne", contacts=contacts)
    kept = books.license(acme, books.machine(acme))
    with books.reading() as db:
        return letter_of(db, kept.id, Settings())


def read(data: bytes) -> EmailMessage:
    """A draft as a mail program reads it."""
    message = BytesParser(policy=policy.default).parsebytes(data)
    assert isinstance(message, EmailMessage)
    assert not any(part.defects for part in message.walk())
    return message


def to(contact: str, letter: Letter) -> Letter:
    """The same letter to one contact."""
    return replace(letter, customer=replace(letter.customer, contacts=(contact,)))


def addresses(message: EmailMessage, header: str) -> list[tuple[str, str]]:
    """Names and addresses of a header."""
    return [(each.display_name, each.addr_spec) for each in message[header].addresses]


def test_a_draft_for_each_contact(letter: Letter) -> None:
    """One address each, a name each; the file is named by the license and the contact."""
    made = drafts(letter, SHIPS, SENDER)
    stem = letter.file_name.removesuffix(".lic")
    assert [draft.name for draft in made] == [
        f"{stem}-zoe-acme-example.eml",
        f"{stem}-ops-acme-example.eml",
    ]
    read_back = [read(draft.data) for draft in made]
    assert addresses(read_back[0], "To") == [("Zoë Müller", "zoe@acme.example")]
    assert addresses(read_back[1], "To") == [("", "ops@acme.example")]
    for message in read_back:
        assert addresses(message, "From") == [("Polygent", "licenses@polygent.example")]
        assert message["X-Unsent"] == "1"
        assert message["Date"].datetime == letter.license.issued_at
        for header in ("To", "From", "Subject", "Date", "Message-ID"):
            assert len(message.get_all(header, [])) == 1
        assert not {"Cc", "Bcc", "Reply-To"} & set(message.keys())


def test_the_subject_and_the_text(letter: Letter) -> None:
    """What ships, with the contact's name and the customer's."""
    message = read(drafts(letter, SHIPS, None)[0].data)
    assert message["Subject"] == (
        "Polygent license for Müller & Söhne (prod-1): new license, upload before 2026-12-07"
    )
    body = message.get_body()
    assert body is not None
    text = body.get_content()
    assert text.splitlines()[0] == "Hello Zoë Müller,"
    assert "2026-12-07T09:30:00Z" in text
    assert "Settings → License → Upload license" in text
    assert body.get_content_type() == "text/plain"


def test_the_license_is_attached_to_the_byte(letter: Letter) -> None:
    """One attachment, under the name of the file."""
    for draft in drafts(letter, SHIPS, None):
        [part] = read(draft.data).iter_attachments()
        assert part.get_content() == letter.file
        assert part.get_filename() == letter.file_name
        assert part.get_content_type() == "application/octet-stream"
        assert part["Content-Transfer-Encoding"] == "base64"


def test_the_longest_file_name_is_whole(letter: Letter) -> None:
    """A header that must be folded loses nothing."""
    slug, label = "a" * 64, "b" * 64
    long = replace(letter, license=replace(letter.license, sub=slug), machine=label)
    for draft in drafts(long, SHIPS, None):
        [part] = read(draft.data).iter_attachments()
        assert part.get_filename() == long.file_name
        assert len(draft.name) <= 255


def test_the_bytes_are_those_of_a_mail(letter: Letter) -> None:
    """ASCII, CR LF, no line over 998 octets (RFC 5322 §2.1.1)."""
    for draft in drafts(letter, SHIPS, SENDER):
        assert draft.data.isascii()
        assert b"\n" not in draft.data.replace(b"\r\n", b"")
        assert b"\r" not in draft.data.replace(b"\r\n", b"")
        assert all(len(line) <= 998 for line in draft.data.split(b"\r\n"))


def test_the_same_draft_has_the_same_bytes(letter: Letter) -> None:
    """And each its own Message-ID, of a domain that is ours or nobody's."""
    assert drafts(letter, SHIPS, SENDER) == drafts(letter, SHIPS, SENDER)
    ids = [read(draft.data)["Message-ID"] for draft in drafts(letter, SHIPS, SENDER)]
    assert len(set(ids)) == 2
    assert all(each.endswith("@polygent.example>") for each in ids)
    [first, _] = drafts(letter, SHIPS, None)
    assert read(first.data)["Message-ID"].endswith("@polygent-issue.invalid>")
    assert read(first.data)["From"] is None


def test_without_an_address_there_is_one_draft_to_nobody(letter: Letter) -> None:
    """The operator fills it in."""
    [draft] = drafts(to("+49 30 1234", letter), SHIPS, None)
    assert draft.name == letter.file_name.replace(".lic", ".eml")
    message = read(draft.data)
    assert message["To"] is None
    assert message["X-Unsent"] == "1"


def test_two_contacts_alike_have_two_files(letter: Letter) -> None:
    """Their addresses differ in what no file name shows."""
    several = ("a.b@acme.example", "a-b@acme.example", "a+b@acme.example")
    alike = replace(letter, customer=replace(letter.customer, contacts=several))
    names = [draft.name for draft in drafts(alike, SHIPS, None)]
    assert len(set(names)) == 3
    assert names[1].endswith("-a-b-acme-example_2.eml")


def test_a_text_like_a_boundary_ends_nothing(letter: Letter) -> None:
    """The attachment is found whatever the operator writes."""
    [plain, _] = drafts(letter, SHIPS, None)
    boundary = read(plain.data).get_boundary()
    own = Template(text=f"Subject: x\n\n--{boundary}\n\n--{boundary}--\nmine", edited=True)
    message = read(drafts(letter, own, None)[0].data)
    body = message.get_body()
    assert body is not None
    assert body.get_content().splitlines()[-1] == "mine"
    [part] = message.iter_attachments()
    assert part.get_content() == letter.file


NAMES = st.text(min_size=1, max_size=190).filter(lambda name: display_name_problem(name) is None)
TRICKY = st.text(alphabet=' ",;:\\()=?_éa漢🚀\u0301', min_size=20, max_size=190)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES | TRICKY, address=st.sampled_from(["a@b.example", "x" * 64 + "@b.example"]))
def test_whatever_the_name_there_is_one_address(letter: Letter, name: str, address: str) -> None:
    """No comma, quote, encoded word or folded line makes another recipient of it."""
    found = parse(f"{name} <{address}>")
    if found is None:
        return
    message = read(drafts(letter, SHIPS, found)[0].data)
    [(read_name, read_address)] = addresses(message, "From")
    assert read_address == address
    assert read_name in (" ".join(found.name.split()), "")


@pytest.mark.parametrize(
    "name", ["Ada  Lovelace", "Lovelace, Ada", 'Ada "the" L', "東京 太郎", "Zoë, CEO"]
)
def test_a_name_of_people_is_kept(letter: Letter, name: str) -> None:
    """Only where a name does not read back is the address left alone."""
    found = parse(f"{name} <ada@acme.example>")
    message = read(drafts(letter, SHIPS, found)[0].data)
    assert addresses(message, "From") == [(" ".join(name.split()), "ada@acme.example")]
