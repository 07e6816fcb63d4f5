"""A YAML file with the line of every key, so that a mistake names its place, and with exact numbers.

Numbers with a point are `Decimal`, never float: `0.1` in a price file is a tenth.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from otel_llmcost.errors import ConfigError, nearest

Location = tuple[int | str, ...]

if TYPE_CHECKING:
    from yaml import SafeLoader as _Base
else:
    # libyaml reads a price list of thousands of models in a fraction of a second instead of in many.
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _ExactLoader(_Base):
    """The safe loader, with decimals for floats."""


def _construct_decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal | float:
    text = str(node.value).replace("_", "")
    try:
        return Decimal(text)
    except ArithmeticError:
        return loader.construct_yaml_float(node)  # .inf, .nan and the base 60 of YAML 1.1: told apart where validated


def _construct_day(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError:
        return str(node.value)  # 2026-13-01: told with its line where validated


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _construct_decimal)
_ExactLoader.add_constructor("tag:yaml.org,2002:timestamp", _construct_day)


def parse_yaml(text: str) -> Any:
    """The data of a YAML text; numbers with a point are decimals.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, Loader=_ExactLoader)  # noqa: S506 - derived from the safe loader


class YamlFile:
    """A mapping read from a file, and the line of every key in it."""

    def __init__(self, name: str, data: dict[str, Any], root: yaml.Node | None) -> None:
        self.name = name
        self.data = data
        self._root = root

    @classmethod
    def empty(cls) -> "YamlFile":
        """What stands for a file that there is not."""
        return cls("", {}, None)

    @classmethod
    def read(cls, path: Path) -> "YamlFile":
        """
        Raises:
            ConfigError: it cannot be read, is no YAML or no mapping, or sets a key twice.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str) -> "YamlFile":
        """
        Raises:
            ConfigError: the text is no YAML or no mapping, or sets a key twice.
        """
        try:
            root = yaml.compose(text, Loader=_ExactLoader)
            data = parse_yaml(text)
        except yaml.MarkedYAMLError as error:
            place = f"{name}:{error.problem_mark.line + 1}" if error.problem_mark else name
            raise ConfigError(f"{place}: not YAML: {' '.join(filter(None, (error.context, error.problem)))}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"{name}: not YAML: {error}") from None
        if data is None:
            return cls(name, {}, None)
        if not isinstance(data, dict):
            raise ConfigError(f"{name}:1: must be a mapping of keys, is a {type(data).__name__}")
        _reject_repeated_keys(name, root)
        return cls(name, data, root)

    def place(self, location: Location) -> str:
        """`file:line: ` of a key, or of the nearest key above it; empty where there is no file."""
        return f"{self.name}:{self.line(location)}: " if self.name else ""

    def line(self, location: Location) -> int:
        """The line of a key, or of the nearest key above it."""
        node, line = self._root, 1
        for part in location:
            if isinstance(node, yaml.MappingNode):
                pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


def explain_mistake(detail: ErrorDetails, model: type[BaseModel]) -> tuple[Location, str]:
    """Where a mistake that validation found stands in the document, and `key: what, and what to do`."""
    location = tuple(part for part in detail["loc"] if part != "[key]")
    dotted = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        return location, f"{dotted}: unknown key{nearest(str(location[-1]), sorted(_keys_at(model, location[:-1])))}"
    message = detail["msg"].removeprefix("Value error, ")
    return location, f"{dotted}: {message}" if dotted else message


def _reject_repeated_keys(name: str, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(f"{name}:{line}: {key.value}: set twice, first on line {seen[key.value]}")
            seen[key.value] = line
            _reject_repeated_keys(name, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _reject_repeated_keys(name, item)


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that are allowed at a place of the document."""
    for part in location:
        fields: Mapping[str, Any] = {info.alias or name: info for name, info in model.model_fields.items()}
        if part in fields:  # else the place in a list, or a key that the user chose
            model = _model_in(fields[str(part)].annotation) or model
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
