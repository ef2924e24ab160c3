"""The walls of the architecture (docs/decisions/0001-architecture.md): read from the imports of every module.

A failure here means one of two things: the import does not belong there, or the picture has changed. In the second case
the tables below are the place to say so, and docs/flow.md with them.
"""

import ast
import json
import os
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from lab.processes import HUNG
from spfmilter.model import Condition, Result
from spfmilter.settings import schema
from tests.source import modules, nodes, tree
from tests.walls import DISTRIBUTIONS, MAY_IMPORT, NARROWER, OWNERS, PURE

ROOT = Path(__file__).parents[1]

# Not loaded by the daemon unless its INI file asks for what they do.
ON_REQUEST = (
    "starlette", "uvicorn", "jinja2", "babel", "limits", "itsdangerous", "sqlalchemy", "prometheus_client",
    "redis",
)  # fmt: skip

IMPURE = frozenset({
    "asyncio", "concurrent", "datetime", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time",
})  # fmt: skip
EXCEPTIONS = {
    ("settings.reader", "pathlib"): "load reads the INI file, and parse, which it calls, does not",
    ("settings.reader", "os"): "load reads the environment, unless its caller has one for it",
    ("settings.files", "os"): "reads the files beside the INI file, for load alone",
    ("settings.files", "pathlib"): "the same",
    ("spf.record", "socket"): "inet_pton, which is a pure function",
}

# The only file that speaks to libmilter about a message.
WORDS_TO_LIBMILTER = frozenset({
    "addheader", "addrcpt", "chgfrom", "chgheader", "delrcpt", "insheader", "quarantine", "replacebody", "setmlreply",
    "setreply",
})  # fmt: skip
MAX_LINES = 400


@cache
def imports(module: str) -> frozenset[str]:
    """The full names of what a module imports, wherever in it the statement stands."""
    found = set()
    for node in nodes(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole.removeprefix("spfmilter.") in modules() else str(node.module))
    return frozenset(found)


def is_within(name: str, places: tuple[str, ...]) -> bool:
    """Whether a module is one of the places, or lies below one."""
    return "*" in places or any(name == place or (place and name.startswith(place + ".")) for place in places)


def own_imports(module: str) -> set[str]:
    names = {name for name in imports(module) if name.split(".")[0] == "spfmilter"}
    return {name.partition(".")[2] for name in names}


def foreign_imports(module: str) -> set[str]:
    tops = {name.split(".")[0] for name in imports(module)}
    return tops - sys.stdlib_module_names - {"spfmilter", "__future__"}


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    walls = {**MAY_IMPORT, **NARROWER}
    fitting = [name for name in walls if module == name or (name and module.startswith(name + "."))]
    assert fitting, f"{module} has no line in MAY_IMPORT"
    allowed = walls[max(fitting, key=len)]
    # The package itself (its version) may be imported by every module.
    assert {name for name in own_imports(module) if name and not is_within(name, allowed)} == set()


def test_the_lines_of_the_walls_are_in_the_order_of_the_layers() -> None:
    """So that a package that imports only what its line allows imports nothing that lies above it."""
    order = list(MAY_IMPORT)
    upwards = [
        (name, other)
        for name, allowed in MAY_IMPORT.items()
        for other in allowed
        if order.index(other if other in order else other.split(".")[0]) > order.index(name)
    ]
    assert upwards == []
    assert [name for name in (*MAY_IMPORT, *NARROWER) if name not in modules()] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and for type hints count: a circle cannot be read from one end to the other."""
    left = {module: own_imports(module) - {module, ""} for module in modules()}
    while free := [module for module, needs in left.items() if not needs & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}


def test_nothing_imports_the_commands() -> None:
    assert [module for module in modules() if "cli" in own_imports(module)] == ["__main__"]


@pytest.mark.parametrize("module", modules())
def test_each_foreign_library_has_its_owner(module: str) -> None:
    assert {name for name in foreign_imports(module) if not is_within(module, OWNERS.get(name, ()))} == set()


def test_each_imported_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    declared = {*project["dependencies"], *(requirement for extra in extras for requirement in extra)}
    names = {requirement.partition(">")[0].split("[")[0].strip() for requirement in declared}
    imported = {library for module in modules() for library in foreign_imports(module)}
    assert {DISTRIBUTIONS.get(library, library) for library in imported} <= names


@pytest.mark.parametrize("module", [m for m in modules() if is_within(m, PURE)])
def test_the_core_is_pure(module: str) -> None:
    tops = {name.split(".")[0] for name in imports(module)} & IMPURE
    assert {top for top in tops if (module, top) not in EXCEPTIONS} == set()
    called = {node.func.id for node in nodes(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called & {"open", "print", "input", "exec", "eval", "__import__"} == set()


def test_every_exception_is_needed() -> None:
    assert [pair for pair in EXCEPTIONS if pair[1] not in {name.split(".")[0] for name in imports(pair[0])}] == []


def test_every_pure_module_exists() -> None:
    assert [name for name in PURE if name not in modules()] == []


def test_pure_evaluation_uses_the_socket_module_for_its_one_function_only() -> None:
    used = {
        node.attr
        for node in nodes("spf.record")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "socket"
    }
    assert used == {"inet_pton", "AF_INET", "AF_INET6"}


def test_one_file_speaks_to_libmilter_about_a_message() -> None:
    speaking = {
        module
        for module in modules()
        for node in nodes(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WORDS_TO_LIBMILTER
    }
    assert speaking == {"milter.callbacks"}


# -- the supervisor never enters libmilter (docs/decisions/0010-supervisor.md) -----------------------------------------


def functions_around(module: str, name: str) -> set[str]:
    """The innermost functions of a module in which ``name(...)`` or ``name.something(...)`` is called."""
    found = set()

    def visit(node: ast.AST, inside: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            inside = getattr(node, "name", "lambda")
        if isinstance(node, ast.Call):
            called = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if isinstance(called, ast.Name) and called.id == name:
                found.add(inside)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree(module), "")
    return found


@pytest.mark.parametrize("module", OWNERS["milter"])
def test_loading_a_module_does_not_enter_libmilter(module: str) -> None:
    """The supervisor loads these, so that what it forks has them."""
    assert "" not in functions_around(module, "milter")


def test_calls_of_libmilter_are_found() -> None:
    """The test above can fail."""
    assert "register" in functions_around("milter.callbacks", "milter")


def test_the_supervisor_makes_a_worker_in_the_child_only() -> None:
    """``work`` is what it gives to ``child.fork``; nothing else of the worker's module is used."""
    assert functions_around("daemon.supervisor", "Worker") == {"work"}
    used = [
        alias.name
        for node in nodes("daemon.supervisor")
        if isinstance(node, ast.ImportFrom) and node.module == "spfmilter.daemon.worker"
        for alias in node.names
    ]
    assert used == ["Worker"]
    assert "milter.callbacks" not in own_imports("daemon.supervisor")


def test_one_name_is_one_class() -> None:
    """A reader who searches for a class finds it, and nothing else."""
    owners: dict[str, list[str]] = {}
    for module in modules():
        for node in tree(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners.setdefault(node.name, []).append(module)
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


@pytest.mark.parametrize("module", modules())
def test_a_module_fits_in_a_head(module: str) -> None:
    assert len(modules()[module].read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", modules())
def test_a_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(tree(module))


def test_each_setting_is_read_outside_the_settings() -> None:
    """By the name of its attribute: a key that the program does not read has no effect."""
    readers = (module for module in modules() if not is_within(module, ("settings",)))
    read = {node.attr for module in readers for node in nodes(module) if isinstance(node, ast.Attribute)}
    read |= {"authserv_id", "own_domains"}  # by ``own_id`` and ``owns``
    read |= {*Result, *Condition, "pass_"}  # an entry or a text, which is looked up by its result
    models = [*schema.SECTIONS.values(), *((name, model) for name, (model, _, _) in schema.NAMED_SECTIONS.items())]
    for section, model in models:
        wanted = {name for name, info in model.model_fields.items() if schema.LATER not in info.metadata}
        assert wanted - read == set(), section


# -- what is loaded, seen from outside: a process of its own -----------------------------------------------------------


@cache
def loaded_after(program: str) -> frozenset[str]:
    """The modules of a new process that has run ``program``; ``ini`` there is the path of an INI file without keys."""
    report = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    code = f"ini = {os.devnull!r}\n{program}\n{report}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HUNG, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return frozenset(names)


COMMANDS = """
from spfmilter.cli import cli
cli.main(["config", "check", "-c", ini], standalone_mode=False)
cli.main(["config", "show", "-c", ini], standalone_mode=False)
cli.main(["check", "-c", ini, "--ip", "127.0.0.1", "--mail-from", "a@example.com"], standalone_mode=False)
"""
DAEMON = """
from pathlib import Path
import spfmilter.cli
from spfmilter.settings import load
from spfmilter.observe import log
import spfmilter.daemon.start
log.configure(load(Path(ini)).log)
"""


@pytest.mark.parametrize("program", [COMMANDS, DAEMON], ids=["commands", "daemon"])
def test_web_and_database_packages_are_not_loaded_unasked(program: str) -> None:
    assert loaded_after(program) & set(ON_REQUEST) == set()


def test_the_commands_do_without_libmilter() -> None:
    """So that they run where only the INI file is edited."""
    assert {"milter", "Milter", "spfmilter.milter"} & loaded_after(COMMANDS) == set()


def test_the_daemon_does_need_libmilter() -> None:
    """The test above can fail."""
    assert {"milter", "spfmilter.daemon.worker"} <= loaded_after(DAEMON)


def test_validating_settings_does_not_load_the_dns() -> None:
    assert {"dns", "spf"} & loaded_after("import spfmilter.cli") == set()
