"""Equal work has an equal key, on every machine and forever; what is not JSON does not get in."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adiabat.jobs import Task, canonical

IDENTITY = {
    "numbers": [8, 1, 1],
    "positions": [[0.0, 0.0, 0.1], [0.1 + 0.2, 1e-17, -1e22]],
    "engine": "pyscf 2.9",
    "spin": None,
}
# The same, spelled by hand, and its sha256 (coreutils sha256sum): published results are found by keys, so keys never change.
SPELLED = (
    '{"identity":{"engine":"pyscf 2.9","numbers":[8,1,1],"positions":[[0.0,0.0,0.1],[0.30000000000000004,1e-17,-1e+22]],'
    '"spin":null},"kind":"label"}'
)
GOLDEN = "d6a56023950cdbdde420c4cbe5521984fb8f00ec0793424e2e1849f076363371"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def task(identity, kind="label", arguments=None):
    return Task(kind, "package.module:name", arguments, identity)


def test_a_key_never_changes():
    assert canonical({"kind": "label", "identity": IDENTITY}) == SPELLED
    assert task(IDENTITY).key == GOLDEN


def test_a_key_is_the_same_in_another_process():
    code = f"from adiabat.jobs import Task; print(Task('label', 'package.module:name', None, {IDENTITY!r}).key)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == GOLDEN


def test_a_key_is_of_kind_and_identity_alone():
    assert task(1, arguments=[1]).key == task(1, arguments=[2]).key
    assert task(1).key != task(2).key
    assert task(1, kind="label").key != task(1, kind="train").key


@given(st.dictionaries(st.text(), json_values, min_size=2, max_size=5))
def test_order_of_insertion_does_not_matter(value):
    assert canonical(value) == canonical(dict(reversed(value.items())))


@given(json_values)
def test_canonical_json_reads_back_to_itself(value):
    text = canonical(value)
    assert canonical(json.loads(text)) == text
    assert text.isascii()


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_different_numbers_have_different_spellings(a, b):
    assert (canonical(a) == canonical(b)) == (repr(a) == repr(b))


def test_numpy_numbers_are_their_python_values():
    ours = {"n": 3, "x": 0.1, "ok": True, "R": [[0.0, 1.5], [2.0, 3.0]], "name": "O"}
    theirs = {"n": np.int64(3), "x": np.float64(0.1), "ok": np.True_, "R": np.array([[0, 1.5], [2, 3]]), "name": np.str_("O")}
    assert canonical(ours) == canonical(theirs)
    assert canonical((1, 2)) == canonical([1, 2])


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {"a": [np.nan]}, {1: 2}, {"a": {1, 2}}, b"bytes", 1j, np.array([1j]), object()]
)
def test_what_is_not_json_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        task(value)


def test_a_refusal_names_the_place():
    with pytest.raises(ValueError, match=r"identity\.atoms\.positions\[1\]\[0\] is nan"):
        task({"atoms": {"positions": np.array([[0.0], [np.nan]])}})
    with pytest.raises(TypeError, match=r"arguments\.settings is of type set"):
        task(1, arguments={"settings": {1}})


def test_a_task_keeps_copies():
    identity = {"positions": [[0.0]]}
    kept = task(identity)
    identity["positions"][0][0] = 1.0
    assert kept.identity == {"positions": [[0.0]]}


@pytest.mark.parametrize("function", ["name", "module:", ":name", "__main__:name"])
def test_a_function_that_no_fresh_process_finds_is_refused(function):
    with pytest.raises(ValueError, match="package.module:name"):
        Task("label", function, None, None)
