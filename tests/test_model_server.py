"""The tests' own model server: what it promises to other tests."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from model_server import FAULTS, ModelServer


def ask(server: ModelServer, system: str = "You are the reviewer of reports.", **more: object) -> httpx.Response:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Well?"}]
    return httpx.post(f"{server.url}/chat/completions", json={"model": "m", "messages": messages, **more}, timeout=60)


def test_role_is_read_from_the_system_prompt(server: ModelServer) -> None:
    assert json.loads(ask(server).json()["choices"][0]["message"]["content"]) == {"approved": True, "reasons": []}
    assert [call.role for call in server.calls] == ["reviewer"]


def test_role_is_read_from_the_schema_name(server: ModelServer) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "Reviewer", "schema": {}}}
    ask(server, "Hello", response_format=schema)
    assert server.calls[0].role == "reviewer"


def test_stream_ends_with_usage(server: ModelServer) -> None:
    reply = ask(server, stream=True, stream_options={"include_usage": True})
    events = [line.removeprefix("data: ") for line in reply.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["usage"]["completion_tokens"] == server.calls[0].output_tokens > 0


def test_tool_calls_carry_the_reply(server: ModelServer) -> None:
    tools = [{"type": "function", "function": {"name": "Review", "parameters": {}}}]
    message = ask(server, tools=tools).json()["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"])["approved"] is True


def test_models_are_listed(server: ModelServer) -> None:
    listed = httpx.get(f"{server.url}/models", timeout=60).json()
    assert [model["id"] for model in listed["data"]] == ["gpt-4o-mini"]
    assert server.models == 1


def test_faults_end_after_their_calls(server: ModelServer) -> None:
    server.fault("429", role="reviewer", calls=2, retry_after=7)
    replies = [ask(server) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [429, 429, 200]
    assert replies[0].headers["retry-after"] == "7"


def test_faults_meet_their_role_only(server: ModelServer) -> None:
    server.fault("500", role="writer")
    assert ask(server).status_code == 200
    assert ask(server, "You are the writer.").status_code == 500


def test_an_unknown_fault_is_named() -> None:
    with pytest.raises(ValueError, match="unknown fault 'flood'; one of: hang"):
        ModelServer().fault("flood")


def test_a_client_that_leaves_is_noticed(server: ModelServer) -> None:
    server.fault("hang")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/chat/completions", json={"messages": []}, timeout=0.05)
    assert server.wait_for(lambda: [call.state for call in server.calls] == ["disconnected"])


def test_replies_are_used_up_and_the_last_one_stays(server: ModelServer) -> None:
    server.script(json.dumps({"replies": {"reviewer": ["one", "two"]}, "faults": []}))
    said = [ask(server).json()["choices"][0]["message"]["content"] for _ in range(3)]
    assert said == ["one", "two", "two"]


def test_leaving_the_block_frees_hanging_clients() -> None:
    with ModelServer() as server:
        server.fault("hang")
        with httpx.Client() as client:
            request = client.build_request(
                "POST", f"{server.url}/chat/completions", json={"messages": []}, timeout=0.05
            )
            with pytest.raises(httpx.ReadTimeout):
                client.send(request)
    assert server.open_now == 0


def test_it_runs_by_hand(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"replies": {"reviewer": "scripted"}}))
    command = [sys.executable, str(Path(__file__).with_name("model_server.py")), "--script", str(script)]
    with subprocess.Popen([*command, "--fault", "reviewer:500:1"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            server = ModelServer()
            server.url = process.stdout.readline().strip().removeprefix("OPENAI_BASE_URL=")
            assert [ask(server).status_code for _ in range(2)] == [500, 200]
        finally:
            process.terminate()


def test_every_fault_is_documented_and_provoked(server: ModelServer) -> None:
    for kind in FAULTS:
        assert server.fault(kind).kind == kind
