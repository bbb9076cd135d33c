"""A hook may wait and is always heard, on both of LangChain's ways to call a model and wherever one is used."""

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from guards.calls.hooks import Work, hook


class Refusal(Exception):
    """What the hook says."""


class Handler(BaseCallbackHandler):
    """Waits, then counts, and refuses what comes after `allowed`."""

    raise_error = True
    run_inline = True

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.ends = 0

    @hook
    async def on_chat_model_start(self, serialized: Any, messages: Any, **more: Any) -> None:
        await asyncio.sleep(0)
        self.allowed -= 1
        if self.allowed < 0:
            raise Refusal

    @hook
    def on_llm_end(self, response: Any, **more: Any) -> Work:
        self.ends += 1
        return asyncio.sleep(0)


MODEL = FakeListChatModel(responses=["yes"])


async def asked(config: Any) -> Any:
    return await MODEL.ainvoke("?", config)


async def streamed(config: Any) -> Any:
    return [chunk async for chunk in MODEL.astream("?", config)]


async def batched(config: Any) -> Any:
    return await MODEL.abatch(["?"], config)


async def in_a_thread(config: Any) -> Any:
    return await asyncio.to_thread(MODEL.invoke, "?", config)


async def on_the_loop(config: Any) -> Any:
    return MODEL.invoke("?", config)


async def streamed_on_the_loop(config: Any) -> Any:
    return list(MODEL.stream("?", config))


@pytest.mark.parametrize("way", [asked, streamed, batched, in_a_thread, on_the_loop, streamed_on_the_loop])
async def test_a_hook_is_waited_for_and_its_refusal_is_heard(way: Any) -> None:
    handler = Handler(1)
    assert await way({"callbacks": [handler]})
    with pytest.raises(Refusal):
        await way({"callbacks": [handler]})
    assert (handler.allowed, handler.ends) == (-1, 1)


def test_a_hook_is_heard_where_no_loop_runs() -> None:
    handler = Handler(0)
    with pytest.raises(Refusal):
        MODEL.invoke("?", {"callbacks": [handler]})


async def test_a_hook_that_waits_holds_up_nobody_else() -> None:
    gate = asyncio.Event()

    class Waits(Handler):
        @hook
        async def on_chat_model_start(self, serialized: Any, messages: Any, **more: Any) -> None:
            await gate.wait()

    task = asyncio.create_task(asked({"callbacks": [Waits(1)]}))
    assert await asked({"callbacks": [Handler(1)]})
    assert not task.done()
    gate.set()
    assert await task
