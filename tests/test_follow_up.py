"""The second round: what the best hits name, once, bounded."""

import pytest
from evidence_kit import collected, found, gathered

from nodes.follow_up import QUERIES, follow_up
from nodes.merge import merge
from nodes.sources.documents import documents
from state.evidence import Finding
from state.research import Gathered

QUESTION = "Where was the director of Lost Harbour born?"
FILM = found(
    "Lost Harbour is a 1931 film directed by Mia Strand, with music by Otto Berg. It was shown in Oslo.",
    "film.md",
    title="Lost Harbour (film)",
)


async def asked(question: str, *findings: Finding) -> list[str]:
    state = gathered(question, collected(findings))
    merged: Gathered = {**state, "evidence": (await merge(state))["evidence"]}
    return (await follow_up(merged))["queries"]


async def test_names_beside_the_questions_words_are_looked_up_first() -> None:
    assert (await asked(QUESTION, FILM))[0] == "Mia Strand"


async def test_what_was_found_or_asked_already_is_not_looked_up() -> None:
    queries = await asked(QUESTION, FILM, found("Mia Strand was a director.", "mia.md", title="Mia Strand"))
    assert not {"Mia Strand", "Lost Harbour"} & set(queries)


async def test_the_second_round_is_bounded() -> None:
    names = ". ".join(f"It was directed by Ann Number{chr(97 + n)}" for n in range(26))
    assert len(await asked(QUESTION, found(f"Lost Harbour. {names}.", "many.md"))) == QUERIES


async def test_no_evidence_leaves_nothing_to_look_up() -> None:
    update = await follow_up(gathered(QUESTION))
    assert update == {"queries": [], "followed": True}


async def test_a_second_round_without_queries_asks_nobody(tmp_path: object) -> None:
    update = await documents({"question": QUESTION, "docs": [str(tmp_path)], "queries": [], "followed": True})
    assert update == {"collected": []}


@pytest.mark.parametrize(
    "text", ["", "A" * 100_000, "A. " * 30_000, "Ab Of " * 20_000, "\u0130\u0131 \ufb01 Ⅷ", "'''\"\"\""]
)
async def test_no_text_breaks_it(text: str) -> None:
    assert len(await asked("a lost harbour?", found(f"Lost Harbour {text}", "odd.md"))) <= QUERIES
