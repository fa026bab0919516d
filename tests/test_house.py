"""The house rules that a machine can hold: the public face, the names of rooms, who imports what, and no pickle."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

import adiabat
import adiabat.kernels.segment

SRC = Path(adiabat.__file__).parent
FILES = sorted(SRC.rglob("*.py"))
PUBLIC = ["read", "Dataset", "labeler", "models", "Graph", "Potential", "fit", "load", "learn", "import_model", "descriptors"]


def where(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(SRC.parent)}:{getattr(node, 'lineno', 1)}"


def parsed():
    return [(file, ast.parse(file.read_text())) for file in FILES]


def imports(tree: ast.AST):
    """Every imported module or name of a file as a dotted path, with its node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def fresh(code: str) -> str:
    """What a fresh interpreter without the tests' import hook prints."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_the_public_face_is_this_list():
    assert adiabat.__all__ == PUBLIC
    assert list(adiabat.ROOMS) == PUBLIC


def test_editors_see_the_same_face_as_python():
    tree = ast.parse((SRC / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: f"adiabat.{alias.name}" if node.module == "adiabat" else node.module
        for node in block.body
        for alias in node.names
    }
    assert seen == adiabat.ROOMS


def test_importing_the_package_imports_no_room():
    assert fresh("import sys, adiabat; print([m for m in sys.modules if m.startswith('adiabat.') or m == 'torch'])") == "[]"


def test_an_unknown_public_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="it offers read, Dataset"):
        adiabat.potential_of_everything  # noqa: B018


@pytest.mark.skipif(os.environ.get("ADIABAT_SHAPES") == "0", reason="ADIABAT_SHAPES=0 leaves the shape checks out")
def test_shapes_are_checked_while_the_tests_run():
    two, three = torch.zeros(2, dtype=torch.long), torch.ones(3)
    with pytest.raises(TypeCheckError, match="Int\\[Tensor, 'E'\\]"):
        adiabat.kernels.segment.segment_sum(three, two, 3)


def test_there_is_no_drawer_for_things_without_a_name():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "shared"}
    paths = [path.relative_to(SRC) for path in SRC.rglob("*")]
    assert [str(path) for path in paths if path.stem.strip("_") in drawers] == []


def test_nothing_inside_imports_the_root_package():
    rooms = {path.stem for path in SRC.iterdir()}
    guilty = [
        f"{where(file, node)} {name}"
        for file, tree in parsed()
        if file != SRC / "__init__.py"
        for name, node in imports(tree)
        if name == "adiabat" or (name.startswith("adiabat.") and name.split(".")[1] not in rooms)
    ]
    assert guilty == []


@pytest.mark.parametrize("room", ["kernels", "nn", "descriptors", "models", "training"])
def test_no_file_between_graph_and_potential_names_ase(room):
    guilty = [
        where(file, node)
        for file, tree in parsed()
        if file.relative_to(SRC).parts[0] == room
        for name, node in imports(tree)
        if name.split(".")[0] == "ase"
    ]
    assert guilty == []


def test_what_is_imported_is_declared(repository):
    """What comes in only because another package brings it along goes away with that package's next release."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    declared = {re.match(r"[\w-]+", line)[0].lower() for line in wanted}
    called = {"yaml": "pyyaml"}  # import name → package name, where they differ
    guilty = [
        f"{where(file, node)} {top}"
        for file, tree in parsed()
        for name, node in imports(tree)
        if (top := name.split(".")[0]) not in {*sys.stdlib_module_names, "adiabat"}
        and called.get(top, top).lower() not in declared
    ]
    assert guilty == []


def test_every_file_is_shipped(repository):
    """A template that is not package data is there in a checkout and missing after `pip install .`."""
    shipped = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["adiabat"]
    files = [path for path in SRC.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert [str(f) for f in files if not any(fnmatch(f.name, pattern.split("/")[-1]) for pattern in shipped)] == []


def test_nothing_is_pickled():
    """A model file that runs code when it is opened is a virus with a force field in it. The one door for the peers' files is shut
    unless the user says that a file is to be trusted."""
    door = "deploy/importers/trusted.py"
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    guilty = []
    for file, tree in parsed():
        guilty += [f"{where(file, node)} {name}" for name, node in imports(tree) if name.split(".")[0] in forbidden]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            called = ast.unparse(node.func)
            if called == "torch.load" and options.get("weights_only") != "True" and not file.match(door):
                guilty.append(f"{where(file, node)} torch.load without weights_only=True")
            if options.get("allow_pickle") == "True":
                guilty.append(f"{where(file, node)} allow_pickle=True")
    assert guilty == []


def test_nothing_reaches_for_the_network():
    """Data, weights and pages come from files: a run on a compute node without a network is the same run."""
    forbidden = {"requests", "urllib3", "httpx", "aiohttp", "http", "ftplib", "smtplib", "huggingface_hub", "wandb"}
    guilty = [
        f"{where(file, node)} {name}"
        for file, tree in parsed()
        for name, node in imports(tree)
        if name.split(".")[0] in forbidden or name.startswith("urllib.request")
    ]
    assert guilty == []


def test_files_open_with_their_idea():
    silent = [str(file.relative_to(SRC.parent)) for file, tree in parsed() if not ast.get_docstring(tree)]
    assert silent == []
