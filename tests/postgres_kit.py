"""A PostgreSQL server of its own for the tests, without Docker: from the wheel `pgserver` or Debian's package."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
"""PostgreSQL refuses to run as root."""

QUICK = "-c fsync=off -c full_page_writes=off -c max_connections=50 -c shared_buffers=16MB -c listen_addresses="


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, None where there is no PostgreSQL."""
    spec = importlib.util.find_spec("pgserver")
    wheels = [Path(place) / "pginstall/bin" for place in (spec.submodule_search_locations or () if spec else ())]
    debians = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in (*wheels, *debians) if (folder / "initdb").exists()), None)


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a running server; it listens on a socket in a folder of its own, and is gone afterwards."""
    found = programs()
    assert found is not None
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
    root = os.geteuid() == 0
    try:
        if root:
            found = _readable(found, folder)
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if root:
            os.chown(data, NOBODY, NOBODY)
        _run(
            found / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "--auth=trust",
            "--no-sync",
            "--encoding=utf8",
            "--no-locale",
        )
        _run(found / "pg_ctl", "-D", data, "-w", "-s", "-l", data / "log", "-o", f"{QUICK} -k {data}", "start")
        try:
            yield f"postgresql://postgres@/postgres?host={data}"
        finally:
            _run(found / "pg_ctl", "-D", data, "-w", "-s", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def emptied(url: str) -> str:
    """The server, without the rows of another test."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as database:
        database.execute("DROP TABLE IF EXISTS interlock_rows")
    return url


def _readable(found: Path, folder: Path) -> Path:
    """The programs where another user may read them: the environment that they are in may be root's alone."""
    if found.is_relative_to("/usr"):
        return found
    packages = found.parents[2]
    for part in ("pgserver/pginstall", "pgserver.libs"):
        shutil.copytree(packages / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    return folder / "pgserver/pginstall/bin"


def _run(*command: object) -> None:
    user = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
    subprocess.run(  # type: ignore[call-overload]
        [str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", **user
    )
