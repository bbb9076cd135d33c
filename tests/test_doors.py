"""The parts of the door: keys, tokens, what comes from here, and what a client may set."""

import asyncio
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from door_kit import AUDIENCE, ISSUER, forged, token, write_keys

from guards.audit.chain import ENTRY
from guards.audit.record import written
from guards.stores.chosen import store
from interlock.cli import main
from interlock.doors import login, noted, tokens
from interlock.doors.caller import LOCAL, Caller, Denied
from interlock.doors.clamp import MOST_STEPS, clamp
from interlock.doors.gate import Gate
from interlock.doors.keys import Keys
from interlock.doors.login import caller_of
from interlock.doors.tokens import Issuer, Tokens

OPERATOR = Caller("key-1", "acme", "operator")


@pytest.fixture(autouse=True)
def nobody_closed_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("INTERLOCK_J", "INTERLOCK_KEYS", "LANGGRAPH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INTERLOCK_DATA", str(tmp_path))
    monkeypatch.setenv("INTERLOCK_ROOTS", "")


def scope(peer: str = "127.0.0.1", method: str = "POST", path: str = "/threads", **headers: str) -> dict[str, Any]:
    told = {"host": "127.0.0.1:2024", **{name.replace("_", "-"): text for name, text in headers.items()}}
    raw = [(name.encode(), text.encode()) for name, text in told.items()]
    return {"type": "http", "method": method, "path": path, "headers": raw, "client": (peer, 5000)}


# -- keys


def test_a_key_is_stored_as_a_hash_in_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.sqlite")
    _, text = keys.add("ana", "acme", "viewer")
    secret = text.split("_", 2)[2]
    assert len(secret) >= 43 and secret.encode() not in (tmp_path / "keys.sqlite").read_bytes()
    assert stat.S_IMODE((tmp_path / "keys.sqlite").stat().st_mode) == 0o600
    assert keys.caller(text) == Caller(f"key-{keys.listed()[0].id}", "acme", "viewer")


def test_a_key_opens_nothing_once_it_is_revoked_or_expired(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.sqlite")
    key, text = keys.add("ana", "acme", "operator")
    _, short = keys.add("bob", "acme", "operator", days=1e-9)
    assert keys.revoke(key) and not keys.revoke("nobody")
    assert keys.caller(text) is None and keys.caller(short) is None


@pytest.mark.parametrize("change", ["", "x", "_", "' OR 1=1 --", "\0", "é" * 40], ids=ascii)
def test_a_wrong_key_opens_nothing(tmp_path: Path, change: str) -> None:
    keys = Keys(tmp_path / "keys.sqlite")
    key, text = keys.add("ana", "acme", "operator")
    wrong = [f"il_{key}_{change}", f"{text}{change or 'x'}", f"il_{change}_{text.split('_', 2)[2]}", change]
    assert [keys.caller(one) for one in wrong] == [None] * 4


def test_the_command_makes_lists_and_revokes_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "add", "ana", "--role", "viewer", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["tenant"], made["role"]) == ("ana", "viewer") and made["key"].startswith("il_")
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert "viewer  good" in listed and made["key"].split("_", 2)[2] not in listed
    assert main(["keys", "revoke", made["id"]]) == 0 and main(["keys", "list"]) == 0
    assert "revoked" in capsys.readouterr().out
    assert main(["keys", "revoke", "nobody"]) == 2 and main(["keys", "add", "a/b"]) == 2


# -- tokens


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(str(write_keys(tmp_path / "keys.json")), ISSUER, AUDIENCE)


def test_a_good_token_names_tenant_and_role(issuer: Issuer) -> None:
    caller = Tokens(issuer).caller(token(role="admin"))
    assert (caller.tenant, caller.role) == ("acme", "admin") and "ana" not in caller.identity


def test_a_token_that_names_nothing_is_a_viewer_of_its_own_things(issuer: Issuer) -> None:
    ana, bob = [Tokens(issuer).caller(token(tenant=None, role=None, sub=sub)) for sub in ("ana", "bob")]
    assert ana.role == "viewer" and ana.tenant == ana.identity != bob.tenant


@pytest.mark.parametrize("kind", forged())
def test_a_forged_token_opens_nothing(issuer: Issuer, kind: str) -> None:
    with pytest.raises(Denied) as refused:
        Tokens(issuer).caller(forged()[kind])
    assert refused.value.status == 401


def test_unknown_key_ids_do_not_make_us_ask_the_issuer_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    fetch: Callable[[str], Any] = tokens._fetched
    monkeypatch.setattr(tokens, "_fetched", lambda place: (asked.append(place), fetch(place))[1])
    checks = Tokens(Issuer(str(write_keys(tmp_path / "keys.json")), ISSUER, AUDIENCE))
    for number in range(50):
        with pytest.raises(Denied):
            checks.caller(token(name=f"unknown {number}"))
    assert checks.caller(token()) and len(asked) == 1


def test_keys_that_cannot_be_had_let_nobody_in(tmp_path: Path) -> None:
    with pytest.raises(Denied) as refused:
        Tokens(Issuer(str(tmp_path / "missing.json"), ISSUER, AUDIENCE)).caller(token())
    assert refused.value.status == 503


def test_keys_come_over_http_too(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json")
    serve = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}/keys.json"
        assert Tokens(Issuer(place, ISSUER, AUDIENCE)).caller(token())
        with pytest.raises(Denied) as refused:
            Tokens(Issuer(f"{place}.missing", ISSUER, AUDIENCE)).caller(token())
        server.shutdown()
    assert refused.value.status == 503


@pytest.mark.parametrize("half", ["INTERLOCK_JWT_ISSUER", "INTERLOCK_JWT_AUDIENCE", ""])
def test_an_issuer_that_is_half_named_or_unprotected_is_refused(half: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"INTERLOCK_JWT_ISSUER": ISSUER, "INTERLOCK_JWT_AUDIENCE": AUDIENCE}
    for name, value in {**named, "INTERLOCK_JWKS": "http://issuer.example/keys"}.items():
        monkeypatch.setenv(name, "" if name == half else value)
    with pytest.raises(ValueError, match=r"INTERLOCK_J"):
        tokens.issuer()
    assert main(["serve"]) == 2


# -- an open door is this machine's


async def test_an_open_door_lets_this_machine_in() -> None:
    assert await caller_of(scope()) == LOCAL
    assert await caller_of(scope("::1", host="[::1]:2024")) == LOCAL


@pytest.mark.parametrize(
    "foreign",
    [
        scope("192.168.1.5"),
        scope(host="rebound.example:2024"),
        scope(host="127.0.0.1.evil.example"),
        scope(x_forwarded_for="127.0.0.1"),
        scope(forwarded="for=127.0.0.1"),
        scope(cf_connecting_ip="127.0.0.1"),
        scope("", host=""),
    ],
    ids=["peer", "rebound name", "look-alike", "proxy", "forwarded", "tunnel", "nobody"],
)
async def test_an_open_door_lets_nobody_else_in(foreign: dict[str, Any]) -> None:
    with pytest.raises(Denied) as refused:
        await caller_of(foreign)
    assert refused.value.status == 403


async def answer(asked: dict[str, Any]) -> int:
    """What the gate says; 200 is what is behind it."""
    said: list[Any] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def nothing() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await Gate(behind)(asked, nothing, send)
    return int(said[0]["status"])


async def test_a_web_page_of_somebody_else_cannot_use_an_open_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGGRAPH_HTTP", '{"cors": {"allow_origins": ["https://smith.langchain.com"]}}')
    assert await answer(scope(origin="https://evil.example")) == 403
    assert await answer(scope(origin="null")) == 403
    assert await answer(scope(origin="https://smith.langchain.com")) == 200
    assert await answer(scope(origin="http://127.0.0.1:2024")) == 200


async def test_the_server_does_not_start_beyond_this_machine_while_the_door_is_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from interlock.doors.app import app, checked

    for address in ("http://0.0.0.0:2024", "http://[::]:2024", "https://x.trycloudflare.com", "http://10.0.0.7:2024"):
        monkeypatch.setenv("LANGGRAPH_API_URL", address)
        with pytest.raises(RuntimeError, match="interlock keys add"):
            async with checked(app):
                pass
    Keys(tmp_path / "keys.sqlite").add("ana", "acme", "operator")
    async with checked(app):
        pass


def test_the_command_does_not_serve_beyond_this_machine_while_the_door_is_open(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "interlock keys add" in capsys.readouterr().err


async def test_a_door_that_was_closed_stays_closed_when_its_last_key_is_revoked(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.sqlite")
    keys.revoke(keys.add("ana", "acme", "operator")[0])
    with pytest.raises(Denied) as refused:
        await caller_of(scope())
    assert refused.value.status == 401


async def test_a_door_whose_keys_cannot_be_read_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "keys.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(Denied) as refused:
        await caller_of(scope(x_api_key="il_abc_def"))
    assert refused.value.status == 503


async def test_a_closed_door_closes_the_files_of_the_machine(tmp_path: Path) -> None:
    _, key = Keys(tmp_path / "keys.sqlite").add("ana", "acme", "operator")
    await caller_of(scope(x_api_key=key))
    assert os.environ["INTERLOCK_ROOTS"] == "none"


async def test_looking_at_a_key_does_not_block_the_loop(tmp_path: Path) -> None:
    """Another process holds the file for writing; the loop goes on."""
    keys = Keys(tmp_path / "keys.sqlite")
    _, key = keys.add("ana", "acme", "operator")
    holder = sqlite3.connect(tmp_path / "keys.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    asked = asyncio.create_task(caller_of(scope(x_api_key=key)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not asked.done()
    holder.execute("ROLLBACK")
    assert (await asked).tenant == "acme"
    holder.close()


async def test_refused_requests_are_on_record_and_a_flood_of_them_does_not_flood_it() -> None:
    noted._noted.clear()
    for _ in range(200):
        assert await answer(scope("192.168.1.5", x_api_key="il_abc_secret")) == 403
    await written()
    entries = [row for key, row in (await store().after(ENTRY, "", 1_000)).items() if key.startswith(ENTRY) and row]
    assert 0 < len(entries) < 20 and entries[0]["rules"] == ["http 403"] and "secret" not in json.dumps(entries)


# -- what a client may set


def clamped(caller: Caller = OPERATOR, **said: Any) -> dict[str, Any]:
    run = {"kwargs": said, "after_seconds": 0}
    clamp(run, caller)
    return run["kwargs"]  # type: ignore[return-value]


@pytest.mark.parametrize(("asked", "got"), [(3_000, MOST_STEPS), (None, MOST_STEPS), (7, 7), (0, MOST_STEPS), (-5, 1)])
def test_the_recursion_limit_goes_down_only(asked: int | None, got: int) -> None:
    assert clamped(config={"recursion_limit": asked})["config"]["recursion_limit"] == got


def test_what_lifts_limits_or_belongs_to_langgraph_is_taken_out() -> None:
    settings = {"__pregel_resuming": True, "__langsmith_project__": "x", "callbacks": [1], "mine": 1}
    config = {"max_concurrency": 1, "callbacks": ["x"], "run_id": "x", "configurable": settings}
    got = clamped(config=config, durability="exit", checkpoint_during=False, feedback_keys=["a"])
    assert (
        got["config"]["max_concurrency"] is None and "callbacks" not in got["config"] and "run_id" not in got["config"]
    )
    assert {name for name in got["config"]["configurable"] if name.startswith("__")} == set()
    assert got["config"]["configurable"]["mine"] == 1
    assert (got["durability"], got["checkpoint_during"], got["feedback_keys"]) == ("sync", True, None)


def test_tenant_role_and_user_are_the_callers_whatever_the_client_says() -> None:
    lies = {"tenant": "rival", "role": "admin", "user_id": "somebody"}
    got = clamped(config={"configurable": dict(lies)}, context=dict(lies))
    assert got["config"]["configurable"] == {"tenant": "acme", "role": "operator", "user_id": "key-1"}
    assert got["context"] == {}


@pytest.mark.parametrize(
    "said",
    [{"webhook": "https://evil.example"}, {"command": {"goto": "write"}}, {"command": {"update": {"run": {}}}}],
    ids=["webhook", "goto", "update"],
)
def test_a_client_neither_makes_the_server_call_nor_steers_a_run(said: dict[str, Any]) -> None:
    with pytest.raises(Denied):
        clamped(**said)
    assert clamped(command={"resume": "yes"})


def test_a_run_cannot_be_put_off_for_days() -> None:
    with pytest.raises(Denied):
        clamp({"kwargs": {}, "after_seconds": 86_400}, OPERATOR)


def test_login_takes_a_bearer_before_a_key() -> None:
    headers = {"authorization": "Bearer one", "x-api-key": "two"}
    assert (login.credential(headers), login.credential({"x-api-key": "two"}), login.credential({})) == (
        "one",
        "two",
        "",
    )
    assert login.credential({"authorization": "Basic YTpi"}) == ""
