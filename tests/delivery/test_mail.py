"""Mail drafts, read back by Python's own parsers."""

from dataclasses import replace
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.licenses import Books

from polygent_issuer.delivery.license_mail import LicenseMail, license_mail
from polygent_issuer.delivery.mail import drafts
from polygent_issuer.delivery.template import DEFAULT, Template
from polygent_issuer.email_address import Mailbox, parse_address
from polygent_issuer.errors import InternalError
from polygent_issuer.home.settings import Settings
from polygent_issuer.verifier.license import display_name_problem

SHIPS = Template(text=DEFAULT, edited=False)
SENDER = Mailbox(name="Polygent", address="licenses@polygent.example")


@pytest.fixture
def letter(books: Books) -> LicenseMail:
    """A license whose customer has two contacts with an address and one without."""
    contacts = ("Zoë Müller <zoe@acme.example>", "+49 30 1234", "ops@acme.example")
    acme = books.customer("Müller & Söhne", contacts=contacts)
    record = books.license(acme, books.machine(acme))
    with books.reading() as db:
        return license_mail(db, record.id, Settings())


def read(data: bytes) -> EmailMessage:
    """Parse a draft like a mail program."""
    message = BytesParser(policy=policy.default).parsebytes(data)
    assert isinstance(message, EmailMessage)
    assert not any(part.defects for part in message.walk())
    return message


def to(contact: str, letter: LicenseMail) -> LicenseMail:
    """Return the same mail to one contact."""
    return replace(letter, customer=letter.customer._replace(contacts=(contact,)))


def addresses(data: bytes, header: str) -> list[tuple[str, str]]:
    """Return names and addresses of a header.

    The newer parser puts a space between two encoded words of a name, which RFC 2047 §6.2 forbids.
    """
    raw = BytesParser(policy=policy.compat32).parsebytes(data)[header].replace("\r\n", "")
    return [(str(make_header(decode_header(name))), each) for name, each in getaddresses([raw])]


def test_a_draft_for_each_contact(letter: LicenseMail) -> None:
    """Each draft has one address; its file is named after the license and the contact."""
    made = drafts(letter, SHIPS, SENDER)
    stem = letter.file_name.removesuffix(".lic")
    assert [draft.name for draft in made] == [
        f"{stem}-zoe-acme-example.eml",
        f"{stem}-ops-acme-example.eml",
    ]
    assert addresses(made[0].data, "To") == [("Zoë Müller", "zoe@acme.example")]
    assert addresses(made[1].data, "To") == [("", "ops@acme.example")]
    for draft in made:
        message = read(draft.data)
        assert addresses(draft.data, "From") == [("Polygent", "licenses@polygent.example")]
        assert message["X-Unsent"] == "1"
        assert message["Date"].datetime == letter.license.issued_at
        for header in ("To", "From", "Subject", "Date", "Message-ID"):
            assert len(message.get_all(header, [])) == 1
        assert not {"Cc", "Bcc", "Reply-To"} & set(message.keys())


def test_a_draft_has_the_default_text(letter: LicenseMail) -> None:
    """The default template is filled with the names of the contact and the customer."""
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


def test_the_license_is_attached_unchanged(letter: LicenseMail) -> None:
    """A draft has one attachment with the name and the exact bytes of the file."""
    for draft in drafts(letter, SHIPS, None):
        [part] = read(draft.data).iter_attachments()
        assert part.get_content() == letter.file
        assert part.get_filename() == letter.file_name
        assert part.get_content_type() == "application/octet-stream"
        assert part["Content-Transfer-Encoding"] == "base64"


def test_the_longest_file_name_is_complete(letter: LicenseMail) -> None:
    """A header that must be folded loses nothing."""
    slug, label = "a" * 64, "b" * 64
    long = replace(letter, license=replace(letter.license, sub=slug), machine=label)
    for draft in drafts(long, SHIPS, None):
        [part] = read(draft.data).iter_attachments()
        assert part.get_filename() == long.file_name
        assert len(draft.name) <= 255


def test_a_draft_has_the_bytes_of_a_mail(letter: LicenseMail) -> None:
    """A draft is ASCII with CR LF, and no line is over 998 octets (RFC 5322 §2.1.1)."""
    for draft in drafts(letter, SHIPS, SENDER):
        assert draft.data.isascii()
        assert b"\n" not in draft.data.replace(b"\r\n", b"")
        assert b"\r" not in draft.data.replace(b"\r\n", b"")
        assert all(len(line) <= 998 for line in draft.data.split(b"\r\n"))


def test_the_same_draft_has_the_same_bytes(letter: LicenseMail) -> None:
    """Each draft has its own Message-ID, in the sender's domain or an invalid one."""
    assert drafts(letter, SHIPS, SENDER) == drafts(letter, SHIPS, SENDER)
    ids = [read(draft.data)["Message-ID"] for draft in drafts(letter, SHIPS, SENDER)]
    assert len(set(ids)) == 2
    assert all(each.endswith("@polygent.example>") for each in ids)
    [first, _] = drafts(letter, SHIPS, None)
    assert read(first.data)["Message-ID"].endswith("@polygent-issue.invalid>")
    assert read(first.data)["From"] is None


def test_without_an_address_a_draft_has_no_recipient(letter: LicenseMail) -> None:
    """The operator adds the recipient."""
    [draft] = drafts(to("+49 30 1234", letter), SHIPS, None)
    assert draft.name == letter.file_name.replace(".lic", ".eml")
    message = read(draft.data)
    assert message["To"] is None
    assert message["X-Unsent"] == "1"


def test_two_similar_contacts_have_two_files(letter: LicenseMail) -> None:
    """Addresses that give the same file name get different files."""
    several = ("a.b@acme.example", "a-b@acme.example", "a+b@acme.example")
    alike = replace(letter, customer=letter.customer._replace(contacts=several))
    names = [draft.name for draft in drafts(alike, SHIPS, None)]
    assert len(set(names)) == 3
    assert names[1].endswith("-a-b-acme-example_2.eml")


def test_a_text_like_a_boundary_has_no_effect(letter: LicenseMail) -> None:
    """The attachment is found, whatever the operator's template contains."""
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
def test_a_name_adds_no_recipient(letter: LicenseMail, name: str, address: str) -> None:
    """No comma, quote, encoded word or folded line in a name adds a recipient."""
    sender = parse_address(f"{name} <{address}>")
    if sender is None:
        return
    data = drafts(letter, SHIPS, sender)[0].data
    assert addresses(data, "From") == [(" ".join(sender.name.split()), address)]
    assert [each.addr_spec for each in read(data)["From"].addresses] == [address]


@pytest.mark.parametrize(
    "name", ["Ada  Lovelace", "Lovelace, Ada", 'Ada "the" L', "東京 太郎", "Zoë, CEO", "東京 " * 60]
)
def test_a_name_in_any_script_is_read_back(letter: LicenseMail, name: str) -> None:
    """A subject in any script and of any length is read back."""
    sender = parse_address(f"{name.strip()} <ada@acme.example>")
    data = drafts(letter, SHIPS, sender)[0].data
    assert addresses(data, "From") == [(" ".join(name.split()), "ada@acme.example")]
    assert all(len(line) <= 76 for line in data.split(b"\r\n") if b"=?" in line)


ENCODED = (
    "=?utf-8?q?=0D=0ABcc:thief@x.example=0D=0AX:?=",
    "=?utf-8?b?DQpCY2M6IHRoaWVmQHguZXhhbXBsZQ0KWDo=?=",
    "=?us-ascii*en?Q?=0ABcc:_thief@x.example?= =?utf-8?q?=0D?=",
    "=?utf-8?q?a=2C?= <thief@x.example>, b",
    "a=?",
)
NAMED = ["X-Unsent", "From", "To", "Subject", "Date", "Message-ID"]


@pytest.mark.parametrize("text", ENCODED)
@pytest.mark.parametrize("where", ["customer", "machine", "sender", "contact", "template"])
def test_an_encoded_word_is_shown_unchanged(letter: LicenseMail, text: str, where: str) -> None:
    """Foreign text becomes neither a header nor an address."""
    template, sender, one = SHIPS, SENDER, to("Ada <ada@acme.example>", letter)
    if where == "customer":
        one = replace(one, license=replace(one.license, customer=text))
    elif where == "machine":
        one = replace(one, machine=text)
    elif where == "sender":
        sender = replace(SENDER, name=text)
    elif where == "contact":
        one = to(f"{text} <{SENDER.address}>", one)
    else:
        template = Template(text=f"Subject: {text}\n\n{text}", edited=True)
    [draft] = drafts(one, template, sender)
    message = read(draft.data)
    there = [name for name in NAMED if name != "To" or where != "contact"]
    assert message.keys() == ["Content-Type", "MIME-Version", *there]
    assert (where in ("customer", "machine", "template")) == (text in message["Subject"])
    if where == "sender":
        assert addresses(draft.data, "From") == [(text, SENDER.address)]
    body = message.get_body()
    assert body is not None
    assert (where in ("customer", "template", "machine")) == (text in body.get_content())
    [part] = message.iter_attachments()
    assert part.get_filename() == one.file_name
    assert "=?" not in one.file_name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=NAMES | TRICKY | st.text(alphabet="=?utf-8qb_0DA :,<>@", min_size=1, max_size=190))
def test_the_subject_names_every_customer(letter: LicenseMail, text: str) -> None:
    """Both of Python's parsers read the subject back unchanged."""
    if display_name_problem(text):
        return
    own = Template(text="Subject: for $customer\n\n$customer", edited=True)
    named = replace(letter, license=replace(letter.license, customer=text))
    for draft in drafts(named, own, None):
        assert read(draft.data)["Subject"] == " ".join(f"for {text}".split())


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("a@b.example\nBcc: thief@x.example", "a header"),
        ("a@b.example\n Bcc: thief@x.example", "a header"),
        ("=?utf-8?q?=0ABcc=3At?=@b.example", "a header"),
        ("a@b.example,thief@x.example", "an address"),
    ],
)
def test_a_draft_that_reads_back_differently_is_refused(
    letter: LicenseMail, address: str, why: str
) -> None:
    """A draft is compared with its fields, also for a mailbox that `parse` would refuse."""
    with pytest.raises(InternalError, match=f"^{why} of the mail draft changed when"):
        drafts(letter, SHIPS, Mailbox(name="", address=address))


def test_parts_are_compared(letter: LicenseMail) -> None:
    """A text with a lone CR reads back with other lines, and is refused."""
    own = Template(text="Subject: x\n\na\rb", edited=True)
    with pytest.raises(InternalError, match=r"^a part of the mail draft"):
        drafts(letter, own, None)


def test_a_long_word_in_a_subject_is_folded(letter: LicenseMail) -> None:
    """No line exceeds the limit of RFC 5322 §2.1.1."""
    own = Template(text=f"Subject: {'x' * 2000}\n\nx", edited=True)
    [first, _] = drafts(letter, own, None)
    assert read(first.data)["Subject"] == "x" * 2000
    assert all(len(line) <= 998 for line in first.data.split(b"\r\n"))


HOST = f"{'b' * 60}.{'c' * 60}.{'d' * 40}.example"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("", f"support+{'a' * 56}@mail.example"),
        ("", f"{'a' * 64}@{HOST}"),
        ("Ada", f"{'a' * 64}@{HOST}"),
        ("x" * 190, "ada@acme.example"),
        ("é" * 190, f"{'a' * 64}@{HOST}"),
    ],
)
def test_a_long_address_has_its_own_line(letter: LicenseMail, name: str, address: str) -> None:
    """A long sender, whose host is in the Message-ID, and a long contact are folded."""
    box = Mailbox(name=name, address=address)
    for draft in drafts(to(f"{name} <{address}>" if name else address, letter), SHIPS, box):
        for header in ("From", "To"):
            assert addresses(draft.data, header) == [(name, address)]
            assert [each.addr_spec for each in read(draft.data)[header].addresses] == [address]
        assert read(draft.data)["Message-ID"].endswith(f"@{box.host}>")
        assert all(len(line) <= 998 for line in draft.data.split(b"\r\n"))
