"""From a mapping to objects: the signature is the schema, and a mistake says where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from adiabat.config import ConfigError, build, checked, named, nearest, override, read_yaml, recorded


@dataclass(frozen=True)
class Ring:
    radius: float
    atoms: int = 6
    kind: Literal["plain", "puckered"] = "plain"
    names: list[str] | None = None


def chain(length: int, *, seed: int) -> tuple[int, int]:
    return length, seed


SHAPES: dict[str, Any] = {"ring": Ring, "chain": chain}


def test_a_name_alone_takes_the_defaults():
    assert build("ring", {"ring": lambda: 7}, where="shape") == 7


def test_arguments_are_checked_and_converted():
    assert build({"ring": {"radius": 2, "atoms": 5}}, SHAPES, where="shape") == Ring(2.0, 5)
    assert isinstance(build({"ring": {"radius": 2}}, SHAPES, where="shape").radius, float)
    assert build({"chain": {"length": 3}}, SHAPES, where="shape", seed=4) == (3, 4)


@pytest.mark.parametrize(
    "spec, message",
    [
        ("rign", r"^shape: 'rign' is unknown; did you mean 'ring'\?$"),
        ("helix", r"^shape: 'helix' is unknown; known: chain, ring$"),
        ({"ring": {"radius": 1, "atmos": 3}}, r"^shape.ring: unknown option 'atmos'; did you mean 'atoms'\?$"),
        ({"ring": {}}, r"^shape.ring: option 'radius' is required$"),
        ({"ring": None}, r"^shape.ring: option 'radius' is required$"),
        ({"ring": {"radius": "wide"}}, r"^shape.ring.radius: got 'wide', wanted float"),
        ({"ring": {"radius": 1, "atoms": 2.5}}, r"^shape.ring.atoms: got 2.5, wanted int"),
        ({"ring": {"radius": 1, "kind": "square"}}, r"^shape.ring.kind: got 'square'"),
        ({"ring": 3}, r"^shape.ring: wanted options as a mapping; got 3$"),
        ({"ring": {}, "chain": {}}, r"^shape: wanted one name with its options"),
        ([], r"^shape: wanted one name with its options"),
        ({"chain": {"length": 3, "seed": 4}}, r"^shape.chain: unknown option 'seed'"),
    ],
)
def test_a_mistake_says_where_what_came_and_what_was_wanted(spec, message):
    with pytest.raises(ConfigError, match=message):
        build(spec, SHAPES, where="shape", **({"seed": 1} if isinstance(spec, dict) and "chain" in spec else {}))


def test_an_object_remembers_its_outermost_arguments():
    class Base:
        @recorded
        def __init__(self, a, b=2):
            self.sum = a + b

    class Child(Base):
        @recorded
        def __init__(self, a, c=5):
            super().__init__(a, b=c)

    assert Base(1).arguments == {"a": 1, "b": 2}
    assert Child(1).arguments == {"a": 1, "c": 5} and Child(1).sum == 6
    assert checked(Child, {"c": 7, "a": 0}, where="x") == {"c": 7, "a": 0}


def test_every_registered_model_can_be_named_in_a_config():
    from adiabat.models import MODELS

    for name in MODELS:
        made = build(name, MODELS, where="model")
        assert made.name == name
        assert build({name: made.arguments}, MODELS, where="model").arguments == made.arguments


def test_overrides_leave_the_original_alone():
    original = {"fit": {"epochs": 10, "loss": {"energy": 1}}, "seed": 1}
    changed = override(original, ["fit.loss.energy=2.5", "fit.optimizer=lbfgs", "new.key=[1, 2]"])
    assert changed == {"fit": {"epochs": 10, "loss": {"energy": 2.5}, "optimizer": "lbfgs"}, "seed": 1, "new": {"key": [1, 2]}}
    assert original == {"fit": {"epochs": 10, "loss": {"energy": 1}}, "seed": 1}


@pytest.mark.parametrize("wrong, message", [("fit.epochs", "wanted key=value"), ("seed.x=1", "'seed' holds a value")])
def test_a_wrong_override_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        override({"seed": 1}, [wrong])


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "broken.yaml").write_text("a: [1,\n")
    (tmp_path / "good.yaml").write_text("a: {b: 1}\n")
    with pytest.raises(ConfigError, match="wanted a mapping of options; got list"):
        read_yaml(tmp_path / "list.yaml")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        read_yaml(tmp_path / "broken.yaml")
    with pytest.raises(ConfigError, match="no such file; 'adiabat new KIND > none.yaml'"):
        read_yaml(tmp_path / "none.yaml")
    assert read_yaml(tmp_path / "good.yaml") == {"a": {"b": 1}}


def test_names_and_hints():
    assert named("a", where="x") == ("a", {}) and named({"a": {"b": 1}}, where="x") == ("a", {"b": 1})
    assert nearest("zzz", []) == "known: none"
