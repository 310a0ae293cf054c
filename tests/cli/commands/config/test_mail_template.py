"""`polygent-issue config mail-template`."""

import os

from support.licenses import Books

from polygent_issuer.delivery.template import DEFAULT, PLACEHOLDERS, template_path


def test_the_default_template_is_printed(books: Books) -> None:
    """The default template goes to stdout; stderr names the command for a copy."""
    result = books.desk.ok("config", "mail-template")
    assert result.text == DEFAULT
    assert "polygent-issue config mail-template --write" in result.err
    assert not template_path(books.desk.home).exists()


def test_a_copy_is_written_once(books: Books) -> None:
    """The copy goes to the home and is not overwritten; placeholders are listed."""
    path = template_path(books.desk.home)
    result = books.desk.ok("config", "mail-template", "--write").text
    assert result.startswith(f"wrote {path}; ")
    for name, about in PLACEHOLDERS.items():
        assert f"  ${name} " in result
        assert about in result
    assert path.read_text("utf-8") == DEFAULT
    path.write_text("Subject: $customer\n\nmine\n")
    outcome = books.desk.run("config", "mail-template", "--write")
    assert outcome.code == 8
    assert "hint: edit this file" in outcome.err
    assert books.desk.ok("config", "mail-template").text == "Subject: $customer\n\nmine\n"


def test_json_has_the_placeholders(books: Books) -> None:
    """JSON has path, text, whether it is edited, and the placeholders."""
    result = books.desk.ok("config", "mail-template", "--json").json
    assert (result["edited"], result["text"]) == (False, DEFAULT)
    assert result["placeholders"] == dict(PLACEHOLDERS)
    assert result["path"] == os.fspath(template_path(books.desk.home))


def test_an_edited_template_is_checked(books: Books) -> None:
    """An unknown placeholder is exit 3 with the nearest name."""
    template_path(books.desk.home).write_text("Subject: x\n\n$machin\n")
    outcome = books.desk.run("config", "mail-template", "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == "invalid_template"
    assert outcome.json["error"]["hint"] == "did you mean $machine?"
