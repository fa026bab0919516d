"""From a mapping to objects, by signature: the signature is the schema, so a default stands in one place.

A registered object is named with its arguments, ``{bpnn: {cutoff: 5.0}}``, or by its bare name, ``bpnn``. Unknown names and
arguments are errors that offer the nearest known one; values are checked against the annotations.

>>> def ring(radius: float, atoms: int = 6):
...     return f"{atoms} on {radius}"
>>> build({"ring": {"radius": 1.4}}, {"ring": ring}, where="shape")
'6 on 1.4'
>>> build({"ring": {"raduis": 1.4}}, {"ring": ring}, where="shape")
Traceback (most recent call last):
adiabat.config.ConfigError: shape.ring: unknown option 'raduis'; did you mean 'radius'?
"""

from __future__ import annotations

import copy
import difflib
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

# Of configuration files, as `format: 1`; a file may leave it out. Raised when an option changes its meaning.
FORMAT = 1


class ConfigError(ValueError):
    """A configuration that cannot be used: says where, what came, what was wanted."""


def nearest(word: str, known: typing.Iterable[str], *, what: str = "") -> str:
    """A hint for a misspelling: the nearest known name, else all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known{' ' + what if what else ''}: {', '.join(known) or 'none'}"


def named(spec: str | Mapping[str, Any], *, where: str) -> tuple[str, dict[str, Any]]:
    """Split ``{name: {arguments}}`` or ``name`` into both."""
    if isinstance(spec, str):
        return spec, {}
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise ConfigError(f"{where}: wanted one name with its options, such as 'name: {{option: value}}'; got {spec!r}")
    [(name, arguments)] = spec.items()
    if arguments is not None and not isinstance(arguments, Mapping):
        raise ConfigError(f"{where}.{name}: wanted options as a mapping; got {arguments!r}")
    return str(name), dict(arguments or {})


def find(name: str, registry: Mapping[str, Any], *, where: str) -> Any:
    """The registered object of that name."""
    if name not in registry:
        raise ConfigError(f"{where}: {name!r} is unknown; {nearest(name, registry)}")
    return registry[name]


def build(spec: str | Mapping[str, Any], registry: Mapping[str, Callable[..., Any]], *, where: str, **given: Any) -> Any:
    """Make the registered object that `spec` names; `given` are arguments the caller supplies itself."""
    name, arguments = named(spec, where=where)
    make = find(name, registry, where=where)
    return make(**checked(make, arguments, where=f"{where}.{name}", given=given), **given)


def checked(
    make: Callable[..., Any], arguments: Mapping[str, Any], *, where: str, given: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """`arguments` for a call of `make`: names known, nothing missing, values of the annotated types."""
    parameters = {
        p.name: p for p in inspect.signature(make).parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    annotations = _annotations(make)
    known = set(parameters) - set(given)
    result = {}
    for name, value in arguments.items():
        if name not in known:
            raise ConfigError(f"{where}: unknown option {name!r}; {nearest(str(name), known)}")
        result[name] = _typed(value, annotations.get(name, Any), where=f"{where}.{name}")
    missing = [n for n in known if n not in result and parameters[n].default is inspect.Parameter.empty]
    if missing:
        raise ConfigError(f"{where}: option {missing[0]!r} is required")
    return result


def recorded(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap an ``__init__`` so that the object remembers its own arguments: what a model file and a config need to make it again."""

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        outermost = "arguments" not in self.__dict__
        if outermost:
            bound = inspect.signature(init).bind(self, *args, **kwargs)
            bound.apply_defaults()
            self.__dict__["arguments"] = {k: v for k, v in bound.arguments.items() if k != "self"}
        init(self, *args, **kwargs)

    return wrapped


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A configuration file as a mapping; `format`, the version of its options, is looked at and taken out."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; 'adiabat new KIND > {path.name}' writes a commented one") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: wanted a mapping of options; got {type(content).__name__}")
    found = dict(content)
    version = found.pop("format", FORMAT)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ConfigError(f"{path}: format: {version!r} came; wanted a whole number, such as {FORMAT}, or nothing")
    if version > FORMAT:
        raise ConfigError(f"{path}: a configuration of format {version}, this Adiabat reads up to {FORMAT}; update Adiabat")
    return found


def override(config: dict[str, Any], assignments: typing.Iterable[str]) -> dict[str, Any]:
    """Apply ``a.b.c=value`` assignments from a command line; values are read as YAML.

    >>> override({"fit": {"epochs": 10}}, ["fit.epochs=20", "seed=3"])
    {'fit': {'epochs': 20}, 'seed': 3}
    """
    config = copy.deepcopy(config)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"{assignment!r}: wanted key=value")
        *parents, last = path.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{assignment!r}: {parent!r} holds a value, not options")
        place[last] = yaml.safe_load(text)
    return config


def _typed(value: Any, annotation: Any, *, where: str) -> Any:
    try:
        return _adapter(annotation).validate_python(value)
    except ValidationError as error:
        wanted = getattr(annotation, "__name__", str(annotation))
        raise ConfigError(f"{where}: got {value!r}, wanted {wanted} ({error.errors()[0]['msg'].lower()})") from None


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except Exception:  # types that bring their own configuration take none from outside
        return TypeAdapter(annotation)


def _annotations(make: Callable[..., Any]) -> dict[str, Any]:
    target = make.__init__ if inspect.isclass(make) else make
    try:
        return typing.get_type_hints(inspect.unwrap(target))
    except (NameError, TypeError):
        return {}
