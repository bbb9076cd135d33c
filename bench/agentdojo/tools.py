"""AgentDojo's tools as LangChain's, declared as an engineer would: effect, sinks, whose records they read."""

from collections.abc import Callable
from typing import Any

from langchain_core.tools import StructuredTool

from guards import declare

OWN = frozenset(
    "get_current_day search_contacts_by_name search_contacts_by_email get_iban get_balance get_user_info "
    "get_user_information get_channels get_users_in_channel".split()
)
"""Directories and the user's own account: nobody else writes them."""

SPENDS = frozenset(
    "send_money schedule_transaction update_scheduled_transaction reserve_hotel reserve_car_rental reserve_restaurant".split()
)
SENDS = frozenset(
    "send_email send_direct_message send_channel_message post_webpage get_webpage invite_user_to_slack share_file".split()
)
READS = ("get_", "search_", "list_", "read_", "check_")
SINKS = frozenset(
    "recipients recipient cc bcc participants user user_email email url channel file_id email_id event_id id account "
    "hotel restaurant company password path filename permission amount".split()
)


def effect_of(name: str) -> str:
    """What a tool of this name does to the world."""
    if name in SPENDS:
        return "spend"
    if name in SENDS:
        return "egress"
    return "read" if name.startswith(READS) else "write"


def tools_of(suite: Any, run: Callable[[str, dict[str, Any]], Any]) -> dict[str, Any]:
    """The tools of a suite; `run` executes one.

    Args:
        suite: AgentDojo's.
        run: Called with the tool's name and its arguments.
    """
    return {function.name: _tool(function, run) for function in suite.tools}


def _tool(function: Any, run: Callable[[str, dict[str, Any]], Any]) -> Any:
    async def call(**arguments: Any) -> str:
        return str(run(function.name, arguments))

    made = StructuredTool(
        name=function.name, description=function.description, args_schema=function.parameters, coroutine=call
    )
    effect: Any = effect_of(function.name)
    sinks, name = [one for one in made.args if one in SINKS], function.name
    return declare(made, effect, sinks=sinks, trusted=name in OWN, idempotent=name == "get_webpage")
