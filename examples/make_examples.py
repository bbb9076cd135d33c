"""Write the binary examples: five PDFs and the SQLite file. Run it after changing a text below.

    python examples/make_examples.py            writes them beside this file
    python examples/make_examples.py FOLDER     writes them to another folder

Only the standard library is used, and the same texts always give the same PDF bytes.
"""

import sqlite3
import sys
from pathlib import Path

TENDER_BRIDGE = """Contract award: rebuilding Anchor Bridge

Marenholm, 8 November 2019
Contract 19/207

The contract for the rebuilding of Anchor Bridge goes to Brandt and Olsen Bridgeworks.
Price: 31.6 million crowns, fixed.
Six firms had made an offer. The highest was 44.0 million crowns.
The works begin in April 2020 and end in December 2021.
For each week of delay that is the builder's own fault 90,000 crowns are kept back.
High water above 2.5 metres at the gauge Skell Bank is nobody's fault under this contract."""

TENDER_TRAMS = """Contract award: trams for the Harbour Line

Marenholm, 21 January 2020
Contract 20/011

Lindqvist Wagonworks will build 14 trams of the type Kite 3 for 62 million crowns.
A Kite 3 is 32 metres long and carries 210 passengers, 64 of them seated.
Each tram has a battery on its roof for stretches without overhead wires.
Delivery begins in March 2021 with two trams a month.
Lindqvist Wagonworks keeps spare parts for 25 years."""

AUDIT = """Audit Office of Marenholm
Final account of the Harbour Line

Report 7 of 2024, published on 18 March 2024

The council had set a budget of 248 million crowns in 2018.
The Harbour Line cost 301.4 million crowns when all bills had been paid.
The figure holds the trams, the depot at Millfield and the art, but not the interest on loans.
\fWhere the additional money went

Of the 53.4 million crowns above the budget:
- 29.8 million crowns went into the piers of Anchor Bridge after the flood of November 2020.
- 13.1 million crowns were owed to higher prices of steel.
- 10.5 million crowns paid for the glass and the cobbles of Market Square.

The office criticises that no drilling was made at the piers before the council decided.
The city pays the whole amount above the budget."""

ANNUAL_REPORT = """Harbour Line: annual report 2024

The Harbour Line carried 9.1 million passengers in 2024.
The fleet consists of 15 trams. On a working day 12 of them are on the line.
A tram ran 71,000 km on average.
The company employs 96 people, 58 of them drivers.
\fEnergy and outlook

The trams used 4.9 gigawatt hours of electricity, a tenth of it won back while braking.
The second lift at Observatory was ordered in November.
In 2025 the timetable in the evening shall be tightened to twelve minutes."""

SOIL = """Soil survey at Anchor Bridge

January 2021, after the flood

Five holes were drilled to 22 metres. Under piers 3 and 4 soft silt lies to a depth of 14 metres.
Firm clay begins at 14.5 metres. The assumption of the feasibility study of 2016 was wrong.
The survey recommends bored piles of 1.2 metres in diameter, at least 18 metres long."""

PDFS = {
    "docs/plans/tender-anchor-bridge.pdf": TENDER_BRIDGE,
    "docs/plans/tender-trams.pdf": TENDER_TRAMS,
    "docs/building/soil-survey-2021.pdf": SOIL,
    "docs/opening/audit-2024.pdf": AUDIT,
    "docs/operations/annual-report-2024.pdf": ANNUAL_REPORT,
}

SCHEMA = """
CREATE TABLE stops (id INTEGER PRIMARY KEY, name TEXT, zone INTEGER, opened TEXT, note TEXT);
CREATE TABLE trams (number INTEGER PRIMARY KEY, name TEXT, type TEXT, in_service_since TEXT);
CREATE TABLE incidents (id INTEGER PRIMARY KEY, date TEXT, stop TEXT, minutes_lost INTEGER, report TEXT);
CREATE TABLE decisions (id INTEGER PRIMARY KEY, date TEXT, title TEXT, decision TEXT);
"""

STOPS = [
    ("Old Quay", 1, "2023-05-12", "Terminus beside the ferry to the islands"),
    ("Customs House", 1, "2023-05-12", "Charging point for the roof batteries"),
    ("Market Square", 1, "2023-05-12", "No overhead wires; glass over the old well"),
    ("Mill Street", 1, "2023-05-12", "Charging point for the roof batteries"),
    ("Theatre", 1, "2023-05-12", "Last trams wait for the end of the play"),
    ("Skell Bank", 1, "2023-05-12", "Signal before Anchor Bridge; gauge of the river Skell"),
    ("Anchor Bridge", 2, "2023-05-12", "Platform in the middle of the bridge"),
    ("Tannery Park", 2, "2023-05-12", "Playground and herons"),
    ("Brewery", 2, "2023-05-12", "Points heated in winter"),
    ("University", 2, "2023-05-12", "Green roof; busiest stop in term"),
    ("Observatory", 2, "2023-05-12", "Lift to the hill; often out of order"),
    ("Allotments", 2, "2023-09-01", "Opened later because of a nest of storks"),
    ("Larch Road", 2, "2023-05-12", ""),
    ("Quarry", 3, "2023-05-12", "End of the first test run in 2021"),
    ("Stadium", 3, "2023-05-12", "Additional trams on match days"),
    ("Hospital", 3, "2023-05-12", "Quiet zone: no bell"),
    ("Fernhill", 3, "2023-05-12", "Terminus"),
]

BIRDS = [
    "Avocet",
    "Bittern",
    "Curlew",
    "Dunlin",
    "Eider",
    "Gannet",
    "Heron",
    "Kestrel",
    "Lapwing",
    "Osprey",
    "Plover",
    "Redshank",
    "Sandpiper",
    "Tern",
]

INCIDENTS = [
    ("2023-06-03", "Market Square", 22, "Tram 3 Curlew stood on Market Square with an empty battery and was towed."),
    ("2023-10-14", "Tannery Park", 190, "A branch fell on tram 7 Heron in the storm. Nobody was hurt."),
    ("2024-01-09", "Brewery", 64, "Ice in the points at Brewery although the heating was on. A fuse had blown."),
    ("2024-04-22", "Anchor Bridge", 38, "A swan walked on the track of Anchor Bridge and was led away."),
    ("2024-09-30", "Observatory", 0, "Lift at Observatory stopped between the floors. Two passengers were freed."),
]

DECISIONS = [
    ("2018-03-14", "Building of the Harbour Line", "Approved by 34 votes to 17 with a budget of 248 million crowns."),
    ("2021-02-10", "New piers for Anchor Bridge", "Approved additional 30 million crowns after the flood."),
    ("2024-06-05", "Speed on Anchor Bridge", "After the deck was measured the greatest speed is raised to 25 km/h."),
    ("2024-11-13", "Second lift at Observatory", "Approved. The order goes to the lowest bidder."),
]


def pdf(text: str) -> bytes:
    """A plain PDF of the text: one page for each part between form feeds, Helvetica, one line for each line."""
    pages = text.split("\f")
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for n, page in enumerate(pages):
        stream = _stream(page)
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * n} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    return _file(objects)


def _stream(page: str) -> str:
    escaped = page.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return "BT /F1 11 Tf 16 TL 56 780 Td\n" + "".join(f"({line}) Tj T*\n" for line in escaped.split("\n")) + "ET"


def _file(objects: list[str]) -> bytes:
    out, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    start = len(out)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return (out + trailer).encode("latin-1")


def database(path: Path) -> None:
    """Write the SQLite file anew."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(SCHEMA)
        connection.executemany("INSERT INTO stops (name, zone, opened, note) VALUES (?, ?, ?, ?)", STOPS)
        trams = [(name, "Kite 3", f"20{21 + n // 6}-{3 + n % 6:02}-01") for n, name in enumerate(BIRDS)]
        connection.executemany("INSERT INTO trams (name, type, in_service_since) VALUES (?, ?, ?)", trams)
        insert = "INSERT INTO incidents (date, stop, minutes_lost, report) VALUES (?, ?, ?, ?)"
        connection.executemany(insert, INCIDENTS)
        connection.executemany("INSERT INTO decisions (date, title, decision) VALUES (?, ?, ?)", DECISIONS)
    connection.close()


def main(folder: Path) -> None:
    """Write all binary examples under `folder`."""
    for name, text in PDFS.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(pdf(text))
    database(folder / "operations.sqlite")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
