"""The model factory against a real server: what goes wrong on the wire becomes a clear error, in time, in any loop."""

import asyncio
import gc
import threading
from typing import Any

import httpx2
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tracers._streaming import _StreamingCallbackHandler
from model_server import KEY, ModelServer
from pydantic import BaseModel

from guards.errors import Permanent, Transient
from nodes import chat, chat_errors, chat_http, models, review
from nodes.judge import Verdicts
from nodes.models import ask, model_for, stated_price
from nodes.plan import Planning
from nodes.write import Report
from state.research import Context

MESSAGES = [SystemMessage("You are the reviewer of a report."), HumanMessage("Is it good?")]


class Verdict(BaseModel):
    """A verdict."""

    approved: bool
    reasons: list[str]


@pytest.fixture(params=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Stream as LangGraph does in the mode `messages`: a callback asks for it."""
    if request.param == "streamed":
        made = chat.chat
        monkeypatch.setattr(chat, "chat", lambda *a, **kw: made(*a, streaming=True, **kw))
    return bool(request.param == "streamed")


def verdict(context: Context | None = None) -> Any:
    return ask("reviewer", context, Verdict, MESSAGES)


async def test_a_reply_becomes_a_record(server: ModelServer, streamed: bool) -> None:
    assert await verdict() == Verdict(approved=True, reasons=[])
    assert [(call.role, call.stream, call.state) for call in server.calls] == [("reviewer", streamed, "done")]


TRANSIENT = {
    "429": "answered 429",
    "500": "answered 500",
    "broken_json": "not what was asked for",
    "broken_body": "not in OpenAI's form",
    "html": "not in OpenAI's form",
    "empty": "no choices|not in OpenAI's form",
    "reset": "connection to the model server failed; check OPENAI_BASE_URL",
    "reset_midway": "connection to the model server failed",
    "hang": "did not answer in time",
    "drip": "did not answer in time",
}
PERMANENT = {
    "401": "check OPENAI_API_KEY",
    "huge": "larger than 1,500,000 bytes",
    "refusal": "refused to answer",
    "length": "cut at its token limit",
    "overflow": "longer than the model's context",
}


@pytest.mark.parametrize("kind", TRANSIENT)
async def test_a_passing_fault_says_that_a_retry_may_help(
    server: ModelServer, streamed: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind in ("hang", "drip"):
        monkeypatch.setattr(chat, "TOTAL_SECONDS", 0.3)
    server.fault(kind, calls=1)
    with pytest.raises(Transient, match=TRANSIENT[kind]) as caught:
        await verdict()
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    assert await server.until(lambda: server.open_now == 0)


@pytest.mark.parametrize("kind", PERMANENT)
async def test_a_lasting_fault_says_that_no_retry_helps(server: ModelServer, streamed: bool, kind: str) -> None:
    server.fault(kind)
    with pytest.raises(Permanent, match=PERMANENT[kind]) as caught:
        await verdict()
    assert len(server.calls) == 1
    assert KEY not in f"{caught.value!r} {caught.value.__context__!r} {caught.value.__cause__!r}"


async def test_the_total_time_holds_although_bytes_keep_coming(
    server: ModelServer, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "TOTAL_SECONDS", 1.0)
    server.fault("drip", every=0.01)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(Transient, match="in time"):
        await verdict()
    assert 0.9 <= loop.time() - began < 5
    assert await server.until(lambda: server.calls[0].state == "disconnected")


async def test_a_body_is_not_read_past_its_bound(server: ModelServer, streamed: bool) -> None:
    server.fault("huge", size=3 * chat_http.REPLY_BYTES)
    with pytest.raises(Permanent, match="it was dropped"):
        await verdict()


async def test_retry_after_reaches_the_guard(server: ModelServer, streamed: bool) -> None:
    server.fault("429", retry_after=17)
    with pytest.raises(Transient) as caught:
        await verdict()
    assert (caught.value.retry_after, caught.value.status_code) == (17.0, 429)  # type: ignore[attr-defined]


async def test_the_client_never_retries(server: ModelServer) -> None:
    server.fault("500")
    with pytest.raises(Transient):
        await verdict()
    assert len(server.calls) == 1


async def test_a_server_without_schemas_is_asked_through_a_tool(server: ModelServer, streamed: bool) -> None:
    server.fault("no_schema")
    assert (await verdict()).approved and (await verdict()).approved
    assert ["response_format" in call.body for call in server.calls] == [True, False, False]


async def test_a_cancelled_call_closes_its_request(server: ModelServer, streamed: bool) -> None:
    server.fault("hang")
    task = asyncio.create_task(verdict())
    assert await server.until(lambda: len(server.calls) == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await server.until(lambda: server.calls[0].state == "disconnected")


async def test_usage_is_reported_streamed_and_not(server: ModelServer, streamed: bool) -> None:
    model = model_for("reviewer", None)
    assert model is not None
    usage = (await model.ainvoke(MESSAGES)).usage_metadata
    call = server.calls[0]
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"]) == (call.input_tokens, call.output_tokens)


async def test_a_streaming_listener_makes_the_call_stream(server: ModelServer) -> None:
    class Listener(BaseCallbackHandler, _StreamingCallbackHandler):  # type: ignore[type-arg]
        def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
            return output

        def tap_output_iter(self, run_id: Any, output: Any) -> Any:
            return output

    model = model_for("reviewer", None)
    assert model is not None
    await model.ainvoke(MESSAGES, config={"callbacks": [Listener()]})
    assert server.calls[0].stream


async def test_a_role_has_its_own_model(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    await verdict(Context(models={"reviewer": "big", "writer": "small"}, temperature=0.5))
    monkeypatch.setenv("INTERLOCK_MODEL", "mine")
    await verdict(Context(models={"writer": "small"}))
    assert [(call.body["model"], call.body["temperature"]) for call in server.calls] == [("big", 0.5), ("mine", 0.0)]


def test_many_loops_at_once_share_no_connection(server: ModelServer) -> None:
    failed: list[Exception] = []

    def work() -> None:
        for _ in range(3):
            try:
                asyncio.run(_several())
            except Exception as error:
                failed.append(error)

    async def _several() -> None:
        await asyncio.gather(*(verdict() for _ in range(5)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert len(server.calls) == 60


def test_one_model_object_works_in_loop_after_loop(server: ModelServer) -> None:
    model = model_for("reviewer", None)
    assert model is not None
    for _ in range(3):
        assert asyncio.run(model.ainvoke(MESSAGES)).text
    assert len(server.calls) == 3


def test_a_thousand_loops_leave_no_client_behind() -> None:
    async def touch() -> Any:
        return await chat_http.client_of_this_loop()

    gc.collect()
    before = sum(isinstance(thing, httpx2.AsyncClient) for thing in gc.get_objects())
    last = [asyncio.run(touch()) for _ in range(1_000)][-1]
    assert last.is_closed and not chat_http._clients
    del last
    gc.collect()
    assert sum(isinstance(thing, httpx2.AsyncClient) for thing in gc.get_objects()) <= before


def test_without_configuration_there_is_no_model() -> None:
    assert model_for("writer", None) is None
    with pytest.raises(Permanent, match="set OPENAI_API_KEY or OPENAI_BASE_URL"):
        model_for("writer", Context(mode="model"))


def test_extractive_mode_uses_no_model(server: ModelServer) -> None:
    assert model_for("writer", Context(mode="extractive")) is None


async def test_a_local_server_needs_no_key(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert (await verdict()).approved
    assert KEY not in str(server.calls[0].headers)


def test_a_local_server_costs_nothing_unless_said(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_for("writer", None)
    assert model is not None and model.metadata is not None
    assert model.metadata["interlock_price"] == (0.0, 0.0)
    monkeypatch.setenv("INTERLOCK_PRICE", "0.15, 0.60")
    assert stated_price() == (0.15, 0.6)
    monkeypatch.delenv("INTERLOCK_PRICE")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.example/v1")
    assert stated_price() is None


@pytest.mark.parametrize("text", ["cheap", "1", "1,2,3", "-1,2", "nan,1", "1,inf"])
def test_a_price_that_is_none_is_refused_with_the_cure(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_PRICE", text)
    with pytest.raises(Permanent, match='INTERLOCK_PRICE="0'):
        stated_price()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://localhost/v1", True),
        ("http://localhost.evil.example/v1", False),
        ("http://10.0.0.1/v1", False),
        ("", False),
        ("http://[", False),
    ],
)
def test_loopback_is_this_machine_only(url: str, local: bool) -> None:
    assert models.on_loopback(url) is local


@pytest.mark.parametrize(
    "reply", ["[" * 100_000, "null", "[]", '{"approved": "perhaps", "reasons": []}', "It is good."]
)
async def test_a_reply_of_another_shape_is_told_without_its_text(server: ModelServer, reply: str) -> None:
    server.reply("reviewer", reply)
    with pytest.raises(Transient, match="the reviewer's reply is not what was asked for") as caught:
        await verdict()
    assert "perhaps" not in str(caught.value) and "good" not in str(caught.value)


async def test_a_code_fence_around_the_json_is_no_harm(server: ModelServer) -> None:
    server.reply("reviewer", '```json\n{"approved": true, "reasons": []}\n```')
    assert (await verdict()).approved


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("-1", 0.0), ("nan", None), ("soon", None), ("", None), ("1e999", None)]
)
def test_retry_after_is_read_or_ignored(value: str, seconds: float | None) -> None:
    assert chat_errors._retry_after(httpx2.Headers({"retry-after": value})) == seconds


def test_retry_after_may_be_a_date() -> None:
    headers = httpx2.Headers({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"})
    assert chat_errors._retry_after(headers) == 0.0


async def test_a_proxy_in_the_environment_is_not_between_us_and_this_machine(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await verdict()).approved


def objects(schema: Any) -> list[dict[str, Any]]:
    """Every object type in a JSON schema."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return [schema] * (isinstance(schema, dict) and schema.get("type") == "object") + [
        found for part in inner for found in objects(part)
    ]


@pytest.mark.parametrize("schema", [Planning, Report, Verdicts, review.Verdict])
def test_every_agents_schema_is_strict(schema: type[BaseModel]) -> None:
    described = models._format(schema)["response_format"]["json_schema"]
    assert described["strict"] is True
    for found in objects(described["schema"]):
        assert found["additionalProperties"] is False
        assert set(found["required"]) == set(found["properties"])
