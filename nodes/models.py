"""Models: which model a role uses, and `ask`, the one way in which agents talk to it.

Configured by the environment: OPENAI_API_KEY, or OPENAI_BASE_URL for any OpenAI-compatible server (one on loopback
needs no key and costs nothing); INTERLOCK_MODEL names the default model; INTERLOCK_PRICE="in,out" its price in USD per
million tokens. A run's context chooses a model per role (guide: A1) and the mode. A model object is made for each
task and holds nothing afterwards (guide: A2).
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel, ValidationError

from guards.calls.provider import provider_key
from guards.degrade import degraded
from guards.errors import Permanent, Transient
from guards.ledger.prices import price_of
from state.research import Context

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

DEFAULT_MODEL = "gpt-4o-mini"
REPLY_TOKENS = {"planner": 1_000, "writer": 4_000, "judge": 1_000, "reviewer": 1_000}
NO_MODEL = "no language model is configured: set OPENAI_API_KEY or OPENAI_BASE_URL, or choose mode 'extractive'"
NO_KEY = "not-needed"

Schema = TypeVar("Schema", bound=BaseModel)
_without_schema: set[tuple[str, str]] = set()
"""(server, model) pairs that refused a JSON schema: they are asked through a tool call from then on."""


def configured() -> bool:
    """Whether the environment names a model server or a key."""
    return bool(os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"))


def wanted(context: Context | None) -> bool:
    """Whether agents should use a model. Raises `Permanent` when the run insists on one and none is configured."""
    mode = (context or Context()).mode
    if mode == "model" and not configured():
        raise Permanent(NO_MODEL)
    return mode != "extractive" and configured()


def name_for(role: str, context: Context | None) -> str:
    """The model's name for a role: the run's choice, else INTERLOCK_MODEL, else the default.

    When the run has stepped down to a cheaper model: the one that it names for "cheap", else INTERLOCK_CHEAP_MODEL.
    """
    chosen = (context or Context()).models
    cheap = chosen.get("cheap") or os.environ.get("INTERLOCK_CHEAP_MODEL")
    if cheap and "cheaper model" in degraded():
        return cheap
    return chosen.get(role) or os.environ.get("INTERLOCK_MODEL") or DEFAULT_MODEL


def model_for(role: str, context: Context | None) -> "BaseChatModel | None":
    """A fresh model for one task of a role; None when there is none or the mode is extractive.

    Its metadata carries, for the guards, `interlock_provider`, the key that its calls count against, and
    `interlock_price` where the price is stated.

    Raises:
        Permanent: The mode is "model" and nothing is configured, or INTERLOCK_PRICE is not two numbers.
    """
    if not wanted(context):
        return None
    from nodes.chat import chat

    price, server = stated_price(), os.environ.get("OPENAI_BASE_URL") or None
    key = os.environ.get("OPENAI_API_KEY") or NO_KEY
    whose = {"interlock_role": role, "interlock_provider": provider_key(server or "openai", key)}
    return chat(
        name_for(role, context),
        key=key,
        base_url=server,
        temperature=(context or Context()).temperature,
        max_completion_tokens=REPLY_TOKENS.get(role, 1_000),
        metadata=whose | ({"interlock_price": price} if price else {}),
    )


def stated_price() -> tuple[float, float] | None:
    """USD per million tokens (input, output): INTERLOCK_PRICE, nothing for a server on loopback, else unknown.

    Raises:
        Permanent: INTERLOCK_PRICE is not two numbers, zero or more.
    """
    text = os.environ.get("INTERLOCK_PRICE", "")
    if not text:
        return (0.0, 0.0) if on_loopback(os.environ.get("OPENAI_BASE_URL", "")) else None
    try:
        into, out = (float(part) for part in text.split(","))
    except ValueError:
        into = out = -1.0
    if not (0 <= into < float("inf") and 0 <= out < float("inf")):
        raise Permanent('INTERLOCK_PRICE must be two numbers, USD per million tokens: INTERLOCK_PRICE="0.15,0.60"')
    return into, out


def on_loopback(url: str) -> bool:
    """Whether the URL names this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def ask(role: str, context: Context | None, schema: type[Schema], messages: Sequence[BaseMessage]) -> Schema:
    """Put one question to a role's model and get an instance of `schema`.

    A server that refuses JSON schemas is asked again through a tool call, and remembered.

    Raises:
        Permanent: No model, a refusal, a cut or oversized reply, or an HTTP error that will come again.
        Transient: No answer in time, an HTTP error that may pass, or a reply that is not what was asked for.
    """
    if "nodes.chat" not in sys.modules and wanted(context):
        await asyncio.to_thread(_warm)
    model = model_for(role, context)
    if model is None:
        raise Permanent(NO_MODEL)
    server = (os.environ.get("OPENAI_BASE_URL", ""), name_for(role, context))
    if server not in _without_schema:
        try:
            return _parsed(role, schema, await model.bind(extra_body=_format(schema)).ainvoke(list(messages)))
        except Permanent as error:
            if not _no_schema(error):
                raise
        _without_schema.add(server)
    tool = _function(schema)
    forced = model.bind(tools=[{"type": "function", "function": tool}], tool_choice=_choice(tool["name"]))
    return _parsed(role, schema, await forced.ainvoke(list(messages)))


def _warm() -> None:
    """Import the model class and the price table; two seconds of a cold machine, not to be spent on the loop."""
    import_module("nodes.chat").warm()
    price_of(DEFAULT_MODEL, {})


def _function(schema: type[BaseModel]) -> dict[str, Any]:
    from langchain_core.utils.function_calling import convert_to_openai_function

    return convert_to_openai_function(schema, strict=True)


def _format(schema: type[BaseModel]) -> dict[str, Any]:
    """The request's response_format, as extra body: named openly, the SDK would parse, and import for a second more."""
    function = _function(schema)
    described = {"name": function["name"], "schema": function["parameters"], "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def _choice(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def _no_schema(error: Permanent) -> bool:
    """Whether a server said that it cannot do structured output."""
    said = str(error)
    return getattr(error, "status_code", None) in (400, 422) and ("response_format" in said or "json_schema" in said)


def _parsed(role: str, schema: type[Schema], reply: BaseMessage) -> Schema:
    """The reply as a record. What is wrong with it is told by field names only: a reply may hold anything."""
    if reply.additional_kwargs.get("refusal"):
        raise Permanent(f"the {role}'s model refused to answer")
    if reply.response_metadata.get("finish_reason") == "length":
        raise Permanent(f"the {role}'s reply was cut at its token limit")
    try:
        return schema.model_validate(_content(reply))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "reply"
        problem = f"{where}: {first['type']}"
    except (ValueError, RecursionError):
        problem = "no JSON object"
    raise Transient(f"the {role}'s reply is not what was asked for ({problem})")


def _content(reply: BaseMessage) -> Any:
    """The JSON of a reply: a tool call's arguments, or the text, with or without a code fence around it."""
    if isinstance(reply, AIMessage) and reply.tool_calls:
        return reply.tool_calls[0]["args"]
    text = reply.text.strip()
    if text.startswith("```"):
        text = text.strip("`").removeprefix("json")
    return json.loads(text)
