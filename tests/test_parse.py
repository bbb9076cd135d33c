"""Files of every kind and of no kind: each gives its text, or one line that says what is wrong and what to do."""

import contextlib
import errno
import io
import os
import random
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from source_kit import docx, paragraph, pdf

from nodes.sources import html, plain
from nodes.sources import pdf as pdf_module
from nodes.sources.collecting import Lost
from nodes.sources.docx import XML_BYTES
from nodes.sources.parse import FILE_BYTES, READERS, parse
from nodes.sources.text import LONGEST, Document, passages


def read(folder: Path, name: str, data: bytes) -> Document:
    (folder / name).write_bytes(data)
    return parse(str(folder), name, name)


def reason(folder: Path, name: str, data: bytes) -> str:
    with pytest.raises(Lost) as caught:
        read(folder, name, data)
    return f"{caught.value.status}: {caught.value}"


# What is no text.


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("empty.txt", b"", "skipped: it holds no text"),
        ("blank.md", b" \n\n\t ", "skipped: it holds no text"),
        ("image.txt", b"\x89PNG\r\n\x1a\n" + bytes(100), "refused: it is a binary file"),
        ("controls.csv", bytes(range(1, 9)) * 20, "refused: it is a binary file"),
        ("binary.html", b"\x7fELF" + bytes(60), "refused: it is a binary file"),
        ("utf16.txt", "no mark".encode("utf-16-le"), "refused: it is a binary file"),
        ("page.pdf", b"<html>not found</html>", "failed: it is no PDF, or a damaged one: export it again"),
        ("cut.pdf", pdf("text")[:60], "failed: it is no PDF"),
        ("empty.pdf", b"", "failed: it is no PDF"),
        ("locked.pdf", pdf("text", password=True), "failed: it needs a password: save it again without one"),
        ("scanned.pdf", pdf(""), "skipped: it holds no text (a scanned PDF needs text recognition first)"),
        ("letter.docx", b"\xd0\xcf\x11\xe0 an old or protected one", "failed: it is no Word document"),
        ("other.docx", b"PK\x05\x06" + bytes(18), "failed: it is no Word document"),
        ("letter.doc", b"text", "refused: files like '.doc' cannot be read: use .csv, .docx"),
        ("README", b"text", "refused: files like 'README' cannot be read"),
    ],
)
def test_what_is_no_text_is_told_in_one_line_with_the_cure(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    said = reason(tmp_path, name, data)
    assert said.startswith(told) and "\n" not in said


def test_200_megabytes_are_refused_without_reading_them(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    tracemalloc.start()
    with pytest.raises(Lost, match="200 MB is over the limit of 50 MB: split it"):
        parse(str(path.parent), path.name, "huge.txt")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_file_just_over_the_limit_is_refused_and_one_at_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    for size, told in ((FILE_BYTES, "binary"), (FILE_BYTES + 1, "over the limit")):
        with path.open("wb") as file:
            file.truncate(size)
        with pytest.raises(Lost, match=told):
            parse(str(path.parent), path.name, "large.txt")


# Encodings: an error costs characters, never the file.


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße".encode(), "Grüße"),
        ("\ufeffGrüße".encode(), "Grüße"),
        ("Grüße".encode("utf-16"), "Grüße"),
        (b"\xfe\xff" + "Grüße".encode("utf-16-be"), "Grüße"),
        ("Grüße".encode("utf-32"), "Grüße"),
        ("Grüße – “so”".encode("cp1252"), "Grüße – “so”"),
        (b"caf\xe9 \x81", "café \ufffd"),
        (b"one\r\ntwo\rthree", "one\ntwo\nthree"),
        (b"a" * plain.HEAD + b"\0b", "a" * plain.HEAD + " b"),
    ],
)
def test_text_in_every_encoding_is_read(tmp_path: Path, data: bytes, text: str) -> None:
    assert read(tmp_path, "note.txt", data).text == text


def test_a_text_that_is_too_long_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "TEXT_CHARACTERS", 10)
    document = read(tmp_path, "note.txt", b"0123456789abc")
    assert document.text == "0123456789" and "only its first 10 characters were read" in document.note


# Where a passage stands.


def test_offsets_hold_on_the_file_itself(tmp_path: Path) -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "word " * 60 for number in range(40))
    document = read(tmp_path, "long.md", text.encode())
    spans = list(passages(document.text))
    assert len(spans) > 8 and all(0 < last - first <= LONGEST for first, last in spans)
    for first, last in spans:
        line = int(document.location(first).removeprefix("line "))
        assert text[first:last].startswith(text.split("\n")[line - 1].strip())


def test_a_text_without_a_single_break_is_cut_all_the_same() -> None:
    spans = list(passages("x" * 10_000))
    assert "".join("x" * (last - first) for first, last in spans) == "x" * 10_000
    assert max(last - first for first, last in spans) <= LONGEST


def test_pdf_pages_are_counted_from_one(tmp_path: Path) -> None:
    document = read(tmp_path, "two.pdf", pdf("first page", "second page"))
    places = [document.location(document.text.index(word)) for word in ("first", "second")]
    assert places == ["page 1", "page 2"]


def test_a_pdf_with_too_many_pages_says_how_many_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_module, "PAGES", 2)
    document = read(tmp_path, "three.pdf", pdf("one", "two", "three"))
    assert "three" not in document.text and document.note == "only its first 2 pages were read: split it"


def test_a_date_comes_from_the_name_or_the_first_lines(tmp_path: Path) -> None:
    assert read(tmp_path, "minutes-2024-05-01.txt", b"text").date == "2024-05-01"
    assert read(tmp_path, "post.md", b"---\ndate: 2023-02-03\n---\n# Title").date == "2023-02-03"
    assert read(tmp_path, "post.txt", b"It opened on 2020-01-01.").date == ""


def test_markdown_is_called_by_its_first_heading(tmp_path: Path) -> None:
    assert read(tmp_path, "a.md", b"intro\n\n## The tide clock ##\n").title == "The tide clock"
    assert read(tmp_path, "plain name.md", b"no heading").title == "plain name"


def test_a_text_called_by_a_number_is_named_by_what_it_opens_with(tmp_path: Path) -> None:
    assert read(tmp_path, "doc17.txt", b"Mill Bridge is a bridge. It spans the Skell.").title == "Mill Bridge"
    assert read(tmp_path, "doc18.txt", b"In 1932 a bridge was built by Ann Lee.").title == "doc18"
    assert read(tmp_path, "notes.txt", b"Mill Bridge is a bridge. It spans the Skell.").title == "notes"


# HTML.

PAGE = b"""<!DOCTYPE html><html><head><title>The  bridge</title><style>p{}</style>
<meta property="article:published_time" content="2023-05-20T10:00"><script>var a = "<p>no</p>";</script></head>
<body><nav>Home | About</nav><header>Masthead</header><div>outside</div>
<article><h1>It opens</h1><p>Built in <b>19</b>32 for 5&nbsp;&pound; &lt;each&gt;.<p>1 < 2 and a<!-- hidden -->b
<table><tr><td>year</td><td>cost</td></tr></table></article><footer>Imprint</footer></body></html>"""


def test_the_main_text_of_a_page_is_read_and_its_noise_left_out(tmp_path: Path) -> None:
    document = read(tmp_path, "page.html", PAGE)
    assert document.text == "It opens\nBuilt in 1932 for 5\xa0£ <each>.\n1 < 2 and a b\nyear | cost"
    assert (document.title, document.date) == ("The bridge", "2023-05-20")


def test_of_several_articles_none_is_dropped(tmp_path: Path) -> None:
    text = read(tmp_path, "blog.html", b"<article>one</article><article>two</article>").text
    assert text == "one\ntwo"


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 300_000 + "bridge",
        "bridge" + "<nav>" * 100_000 + "x" + "</nav>" * 100_000,
        "<article>" * 100_000 + "bridge",
        "".join(f"<font color={number}>" for number in range(5_000)) + "<p>bridge" * 5_000,
        "<div <>" * 200_000 + "bridge",
        "<a '" * 100_000 + "bridge",
        "<a \"'" * 100_000 + "bridge",
        "<!--" * 100_000 + "--> bridge",
        "bridge" + "<script" * 100_000,
        "bridge " + "&" * 500_000,
        "<" * 1_000_000 + "bridge",
    ],
    ids=lambda page: page[:8],
)
def test_of_a_hostile_page_few_tags_reach_the_parser(page: str) -> None:
    assert html._flat(page).count("<") <= html.TAGS  # with all of them it takes minutes, or all the memory there is
    assert "bridge" in html.from_html(page.encode(), "page", "page").text


# DOCX.


def test_the_paragraphs_of_a_word_document_are_read(tmp_path: Path) -> None:
    body = (
        paragraph("It opened &amp; closed.")
        + "<w:p><w:r><w:t>A</w:t><w:tab/><w:t>B</w:t><w:br/><w:t>C</w:t></w:r></w:p>"
    )
    document = read(tmp_path, "letter.docx", docx(body + "<w:p><w:instrText>PAGE</w:instrText></w:p>"))
    assert document.text.strip() == "It opened & closed.\nA\tB\nC"
    assert document.location(document.text.index("A")) == "paragraph 2"


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    head = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    assert "it declares entities" in reason(tmp_path, "bomb.docx", docx(paragraph("&b;"), head))


def test_a_zip_bomb_is_refused_after_its_limit(tmp_path: Path) -> None:
    assert "unpacked it is larger than 50 MB" in reason(tmp_path, "bomb.docx", docx(" " * (XML_BYTES + 1)))


def test_damaged_xml_in_a_word_document_is_told(tmp_path: Path) -> None:
    assert "its text is damaged" in reason(tmp_path, "cut.docx", docx("<w:p>"))


# A fault of a library costs one file.


def test_every_reader_survives_noise(tmp_path: Path) -> None:
    noise = random.Random(7).randbytes(20_000)
    for suffix in READERS:
        for data in (noise, b"%PDF-1.7\n" + noise, b"PK\x03\x04" + noise, b"<html>" + noise):
            with contextlib.suppress(Lost):
                assert read(tmp_path, f"noise{suffix}", data).text.encode()


def no_proc(path: str) -> str:
    raise OSError(errno.ENOENT, path)


@pytest.mark.parametrize("proc", [True, False])
@pytest.mark.parametrize("swapped", ["file", "folder", "pipe"])
def test_what_is_put_in_a_files_place_between_the_look_and_the_reading_is_not_read(
    tmp_path: Path, swapped: str, proc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not proc:
        monkeypatch.setattr("os.readlink", no_proc)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.txt").write_text("the neighbour's")
    base, folder = tmp_path / "base", tmp_path / "base" / "sub"
    folder.mkdir(parents=True)
    if swapped == "file":
        (folder / "a.txt").symlink_to(tmp_path / "outside" / "a.txt")
    elif swapped == "pipe":
        os.mkfifo(folder / "a.txt")
    else:
        folder.rmdir()
        folder.symlink_to(tmp_path / "outside")
    with pytest.raises((Lost, OSError)) as caught:
        parse(str(base), "sub/a.txt", "a.txt")
    told = str(caught.value)
    assert "no file any more" in told or "a link was put in its way" in told or "[Errno " in told


def test_an_archive_of_countless_files_is_refused_before_they_are_listed(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number:05}.xml", b"")
    assert "far more files than a Word document" in reason(tmp_path, "many.docx", file.getvalue())
