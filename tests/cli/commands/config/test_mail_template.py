"""`polygent-issue config mail-template`."""

import os

from support.licenses import Books

from polygent_issuer.delivery.template import DEFAULT, PLACEHOLDERS, template_path


def test_the_text_that_ships_is_printed(books: Books) -> None:
    """As it is, on stdout; stderr says how to have one's own."""
    told = books.desk.ok("config", "mail-template")
    assert told.text == DEFAULT
    assert "polygent-issue config mail-template --write" in told.err
    assert not template_path(books.desk.home).exists()


def test_it_is_written_to_be_edited(books: Books) -> None:
    """Into the home, once, with the names that may stand in it."""
    path = template_path(books.desk.home)
    told = books.desk.ok("config", "mail-template", "--write").text
    assert told.startswith(f"wrote {path}; ")
    for name, about in PLACEHOLDERS.items():
        assert f"  ${name} " in told
        assert about in told
    assert path.read_text("utf-8") == DEFAULT
    path.write_text("Subject: $customer\n\nmine\n")
    outcome = books.desk.run("config", "mail-template", "--write")
    assert outcome.code == 8
    assert "hint: edit this file" in outcome.err
    assert books.desk.ok("config", "mail-template").text == "Subject: $customer\n\nmine\n"


def test_programs_get_the_names_too(books: Books) -> None:
    """Path, text, whether it is edited, and what there is."""
    told = books.desk.ok("config", "mail-template", "--json").json
    assert (told["edited"], told["text"]) == (False, DEFAULT)
    assert told["placeholders"] == dict(PLACEHOLDERS)
    assert told["path"] == os.fspath(template_path(books.desk.home))


def test_an_edited_text_is_checked(books: Books) -> None:
    """Exit 3, with the nearest name."""
    template_path(books.desk.home).write_text("Subject: x\n\n$machin\n")
    outcome = books.desk.run("config", "mail-template", "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == "invalid_template"
    assert outcome.json["error"]["hint"] == "did you mean $machine?"
