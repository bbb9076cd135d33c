"""Doctor: what is configured, what is missing, what it costs; never a key, never a byte to anybody."""

import json
import re
import socket
import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from graphs.research import POLICY
from interlock import costs, looks
from interlock.arguments import ROLES
from interlock.cli import main
from interlock.reach import place

SECRET = "sk-a-key-that-nobody-may-see"
AWAY = "http://127.0.0.1:1/v1"

Doctor = Callable[[], tuple[int, dict[str, dict[str, str]], list[dict[str, Any]]]]


@pytest.fixture
def doctor(capfd: pytest.CaptureFixture[str]) -> Doctor:
    """Ask the doctor: exit code, findings by name, costs."""

    def ask() -> tuple[int, dict[str, dict[str, str]], list[dict[str, Any]]]:
        code = main(["doctor", "--json"])
        out, err = capfd.readouterr()
        told = json.loads(out)
        assert err == "" and SECRET not in out
        return code, {one["what"]: one for one in told["findings"]}, told["costs"]

    return ask


def test_without_anything_configured_nothing_is_broken(doctor: Doctor) -> None:
    code, found, prices = doctor()
    assert code == 0
    assert {name for name, one in found.items() if one["state"] == "off"} >= {
        "language model",
        "model server",
        "tracing",
    }
    assert "OPENAI_API_KEY" in found["language model"]["cure"]
    assert prices[0] == {"choice": "no language model (--mode extractive)", "usual": 0.0, "most": 0.0}
    assert all(0 < price["usual"] < price["most"] == POLICY.dollars for price in prices[1:])


def test_text_says_the_same_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capfd.readouterr().out
    assert "data folder" in out and "MB free" in out
    assert "gpt-4o-mini" in out and "at most 1.00" in out


def test_prices_are_shown_with_their_date(doctor: Doctor, capfd: pytest.CaptureFixture[str]) -> None:
    _, found, _ = doctor()
    dated = re.search(r"up to (\d{4}-\d\d-\d\d)", found["price table"]["text"])
    assert dated and dated[1] >= "2026-10-12" and date.fromisoformat(dated[1]) <= date.today()
    main(["doctor"])
    assert f"in USD (prices with changes up to {dated[1]})" in capfd.readouterr().out


def test_the_ledgers_store_is_told_without_its_password(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "today 0 and 0.0000" in doctor()[1]["ledger"]["text"]
    monkeypatch.setenv("INTERLOCK_STORE", f"postgresql://user:{SECRET}@127.0.0.1:1/x")
    code, found, _ = doctor()
    assert code == 1 and found["ledger"]["text"] == "PostgreSQL at 127.0.0.1"


def test_a_key_is_told_to_be_there_and_never_shown(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_BASE_URL", AWAY.replace("//", f"//user:{SECRET}@"))
    code, found, _ = doctor()
    assert code == 1
    assert "a key is set" in found["language model"]["text"]
    assert (
        found["model server"]["state"] == "broken" and "127.0.0.1:1 cannot be reached" in found["model server"]["text"]
    )


def test_a_server_is_greeted_and_told_nothing(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}/v1")
        code, found, prices = doctor()
        with server.accept()[0] as visitor:
            visitor.settimeout(20)
            assert visitor.recv(100) == b""
    assert code == 0 and "takes connections" in found["model server"]["text"]
    assert "no key is set" in found["language model"]["text"]
    assert prices[1]["choice"] == "as configured (gpt-4o-mini)" and prices[1]["usual"] == 0, "this machine is free"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "no address", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_is_broken(url: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    code, found, _ = doctor()
    assert code == 1 and "no http or https URL" in found["model server"]["text"]


def test_a_model_without_a_price_is_broken_until_one_is_stated(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("INTERLOCK_MODEL", "a-model-of-our-own")
    _, found, prices = doctor()
    assert found["language model"]["state"] == "broken" and "INTERLOCK_PRICE" in found["language model"]["cure"]
    assert prices[1]["usual"] is None
    monkeypatch.setenv("INTERLOCK_PRICE", "2,8")
    _, found, prices = doctor()
    assert found["language model"]["state"] == "ok"
    into, out = (sum(tokens[side] for tokens in costs.USUAL.values()) for side in (0, 1))
    assert prices[1]["usual"] == pytest.approx((2 * into + 8 * out) / 1_000_000)


def test_a_price_that_is_none_is_broken(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("INTERLOCK_PRICE", "cheap")
    code, found, _ = doctor()
    assert code == 1 and "INTERLOCK_PRICE" in found["language model"]["text"]


def test_a_data_folder_that_cannot_be_made_is_broken(
    tmp_path: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("INTERLOCK_DATA", str(tmp_path / "file"))
    code, found, _ = doctor()
    assert code == 1 and "INTERLOCK_DATA" in found["data folder"]["cure"]


def test_a_full_disk_is_broken(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "ROOM_MEGABYTES", 10**12)
    code, found, _ = doctor()
    assert code == 1 and "make room" in found["data folder"]["cure"]


def test_a_sqlite_without_full_text_search_is_broken(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Without(sqlite3.Connection):
        def execute(self, *_: Any) -> Any:
            raise sqlite3.OperationalError("no such module: fts5")

    monkeypatch.setattr(looks.sqlite3, "connect", lambda _: Without(":memory:"))
    code, found, _ = doctor()
    assert code == 1 and "FTS5" in found["search"]["text"]


def test_a_library_that_is_missing_is_broken_and_an_extra_is_not(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = looks._version
    monkeypatch.setattr(looks, "_version", lambda name: "" if name in ("selectolax", "tantivy") else there(name))
    code, found, _ = doctor()
    assert code == 1 and "selectolax missing" in found["libraries"]["text"]
    assert found["large folders"]["state"] == "off"
    monkeypatch.setenv("INTERLOCK_INDEX", "tantivy")
    assert "interlock[large]" in doctor()[1]["large folders"]["cure"]


def test_an_index_that_there_is_not_is_broken(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_INDEX", "tantivy")
    assert doctor()[1]["large folders"]["state"] == "ok"
    monkeypatch.setenv("INTERLOCK_INDEX", "elastic")
    assert doctor()[1]["large folders"]["state"] == "broken"


def test_a_look_that_fails_is_a_finding(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> tuple[bool | None, str, str]:
        raise ImportError("no such library")

    monkeypatch.setitem(looks.LOOKS, "search", broken)
    code, found, _ = doctor()
    assert code == 1 and "ImportError" in found["search"]["text"]


def test_tracing_needs_a_key_and_a_server(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    assert "LANGSMITH_API_KEY" in doctor()[1]["tracing"]["cure"]
    monkeypatch.setenv("LANGSMITH_API_KEY", SECRET)
    monkeypatch.setenv("LANGSMITH_ENDPOINT", AWAY)
    assert "cannot be reached" in doctor()[1]["tracing"]["text"]


def test_own_addresses_are_told(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor()[1]["own addresses"]["state"] == "off"
    monkeypatch.setenv("INTERLOCK_ALLOW_LOOPBACK", "1")
    assert doctor()[1]["own addresses"]["state"] == "ok"


def test_every_role_has_a_usual_cost_and_every_known_model_a_price() -> None:
    assert tuple(costs.USUAL) == ROLES
    assert all(costs.usual(dict.fromkeys(ROLES, name)) for name in costs.KNOWN)


def test_a_place_holds_no_password() -> None:
    assert place(f"https://user:{SECRET}@example.org:8443/v1") == "example.org:8443"
