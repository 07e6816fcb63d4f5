"""`otel-llmcost config`: what the configuration is, where each value comes from, and what may be said."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel

from otel_llmcost.cli.actions import run_action
from otel_llmcost.cli.ledger import add_config_option
from otel_llmcost.cli.masking import mask_passwords
from otel_llmcost.cli.table import print_table
from otel_llmcost.errors import ConfigError
from otel_llmcost.settings import ENV_CONFIG, LEDGER_ACCESS, Settings, environment_names, json_schema, load_settings

NAME: Final = "config"
HELP: Final = "check and explain the configuration"

KeyPath = tuple[str, ...]

_EPILOG: Final = """\
examples:
  otel-llmcost config check --config llmcost.yaml
  otel-llmcost config check --json
  otel-llmcost config schema > llmcost.schema.json
  otel-llmcost config env
"""
_CHECK: Final = """\
Show every key of the configuration with its value and where that comes from: the default, a line of the file, or an
environment variable (which wins). Mistakes are shown all at once, each with its line; the exit code is then 2.
"""


@dataclass(frozen=True, slots=True)
class Explained:
    """One key of the configuration: its value as JSON text, and where that comes from."""

    key: str
    value: Any
    origin: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the three actions."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    check = actions.add_parser("check", help="explain the effective configuration", description=_CHECK)
    add_config_option(check)
    check.add_argument("--json", action="store_true", help="print JSON instead of a table")
    check.set_defaults(act=_check)
    schema = "print the JSON Schema of llmcost.yaml, for editors"
    actions.add_parser("schema", help=schema, description=schema).set_defaults(act=_schema)
    env = "list the environment variables"
    actions.add_parser("env", help=env, description=env).set_defaults(act=_env)


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    return run_action(args)


def explain(environ: Mapping[str, str], path: Path | None) -> list[Explained]:
    """Every key of the effective configuration, in the order of the schema; passwords are masked.

    Raises:
        ConfigError: every mistake, one a line.
    """
    from otel_llmcost.pipeline import Pipeline

    settings = load_settings(environ, path)
    Pipeline.from_settings(settings)  # attribution rules that name what does not exist
    file = path or (Path(environ[ENV_CONFIG]) if environ.get(ENV_CONFIG) else None)
    lines = dict(_key_lines(yaml.compose(file.read_text("utf-8"), yaml.SafeLoader))) if file else {}
    explained = []
    for variable, key in environment_names().items():
        in_file = f"{file}:{lines[key]}" if key in lines else "default"
        origin = variable if variable in environ else in_file
        explained.append(Explained(".".join(key), _value(settings, key), origin))
    return explained


def _check(args: argparse.Namespace) -> int:
    try:
        explained = explain(os.environ, args.config)
    except ConfigError as error:
        if not args.json:
            raise
        mistakes = [mask_passwords(line) for line in str(error).splitlines()]
        print(json.dumps({"valid": False, "mistakes": mistakes}, indent=2))
        return error.exit_code
    if args.json:
        print(json.dumps({"valid": True, "settings": [asdict(row) for row in explained]}, indent=2))
        return 0
    rows = [[row.key, json.dumps(row.value, ensure_ascii=False), row.origin] for row in explained]
    print_table(["key", "value", "from"], rows, sys.stdout)
    return 0


def _schema(_: argparse.Namespace) -> int:
    print(schema_text(), end="")
    return 0


def schema_text() -> str:
    """The JSON Schema as it stands in docs/llmcost.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _env(_: argparse.Namespace) -> int:
    rows = [[ENV_CONFIG, "", "", "Path of the configuration file."]]
    rows += [[variable, "", "", meaning] for variable, meaning in LEDGER_ACCESS.items()]
    for variable, key in environment_names().items():
        default = json.dumps(_value(Settings(), key), ensure_ascii=False)
        rows.append([variable, ".".join(key), default, description(key)])
    print_table(["variable", "key", "default", "meaning"], rows, sys.stdout)
    return 0


def description(key: KeyPath) -> str:
    """The meaning of a key, from the settings themselves, on one line."""
    *parents, leaf = key
    model: type[BaseModel] = Settings
    for name in parents:
        annotation = model.model_fields[name].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    return " ".join((model.model_fields[leaf].description or "").split())


def _value(settings: Settings, key: KeyPath) -> Any:
    """The value as JSON has it; passwords are masked."""
    value: Any = settings.model_dump(mode="json", by_alias=True)
    for name in key:
        value = value[name]
    return mask_passwords(value) if isinstance(value, str) else value


def _key_lines(node: yaml.Node | None, prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, int]]:
    """Every key of a YAML mapping, nested ones too, with its line."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        path = (*prefix, str(key.value))
        yield path, key.start_mark.line + 1
        yield from _key_lines(value, path)
