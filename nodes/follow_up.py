"""Follow up: what the first hits name is looked up once more."""

from typing_extensions import TypedDict

from state.research import Gathered

QUERIES = 5


class Followed(TypedDict):
    """What following up writes."""

    queries: list[str]
    followed: bool


async def follow_up(state: Gathered) -> Followed:
    """Titles of the best hits become the queries of the second round."""
    titles = dict.fromkeys(finding.title for finding in state.get("evidence", []))
    return {"queries": list(titles)[:QUERIES], "followed": True}
