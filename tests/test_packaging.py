"""What is installed is what is written down: packages, constraints, graphs, environment variables."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ["graphs", "guards", "interlock", "nodes", "state"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
VARIABLE = re.compile(r"(INTERLOCK|OPENAI|LANGSMITH)_[A-Z_]+")
EXTRA_PINS = {"constraints.txt": ["build"], "constraints-dev.txt": ["build", "dev", "large", "postgres"]}


def pins(name: str) -> dict[str, tuple[Requirement, int]]:
    """Each pinned requirement of a constraints file with the number of its hashes."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split("--hash=sha256:") for line in text.splitlines() if line and not line.startswith("#")]
    found = {canonicalize_name(Requirement(line[0]).name): (Requirement(line[0]), len(line) - 1) for line in lines}
    assert len(found) == len(lines)
    return found


def mentioned(root: Path) -> set[str]:
    """The environment variables that the packages name in a string of their own."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for name in PACKAGES for file in (root / name).rglob("*.py")]
    strings = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in strings if isinstance(text, str) and VARIABLE.fullmatch(text)}


@pytest.mark.parametrize("name", EXTRA_PINS)
def test_every_dependency_is_pinned_with_hashes_and_no_address(name: str) -> None:
    pinned = pins(name)
    assert all(re.fullmatch(r"==[\w.+!]+", str(pin.specifier)) for pin, _ in pinned.values())
    assert all(hashes > 0 and pin.url is None for pin, hashes in pinned.values())
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EXTRA_PINS)
def test_the_pins_satisfy_the_project(name: str) -> None:
    pinned = pins(name)
    wanted = PROJECT["dependencies"] + [line for extra in EXTRA_PINS[name] for line in EXTRAS[extra]]
    for requirement in map(Requirement, wanted):
        pin = next(iter(pinned[canonicalize_name(requirement.name)][0].specifier))
        assert requirement.specifier.contains(pin.version), f"{requirement}: run `make lock`"


def test_a_run_and_the_tests_use_the_same_versions() -> None:
    run, dev = pins("constraints.txt"), pins("constraints-dev.txt")
    assert {name: pin.specifier for name, (pin, _) in run.items()} == {name: dev[name][0].specifier for name in run}


def test_the_wheel_holds_the_five_floors_and_the_command(tmp_path: Path) -> None:
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    code = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert {file.split("/")[0] for file in files if ".dist-info/" not in file} == set(PACKAGES)
    modules = {str(file.relative_to(ROOT)) for name in PACKAGES for file in (ROOT / name).rglob("*.py")}
    assert modules | {f"{name}/py.typed" for name in PACKAGES} <= set(files)
    assert any(file.endswith("entry_points.txt") for file in files)


def test_the_project_may_not_be_uploaded_by_mistake() -> None:
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]


def test_every_served_graph_exists() -> None:
    served = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))["graphs"]
    assert {Path(place.split(":")[0]).stem for place in served.values()} == {
        file.stem for file in (ROOT / "graphs").glob("*.py") if file.stem != "__init__"
    }


def test_env_example_names_every_variable_that_the_code_reads() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    told = {line.split("=")[0] for line in lines if "=" in line and not line.startswith("#")}
    assert mentioned(ROOT) <= told
    assert {name for name in told if not name.startswith("LANGSMITH_")} <= mentioned(ROOT)


def test_the_changelog_tells_of_this_version() -> None:
    assert f"\n## [{PROJECT['version']}] - 20" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
