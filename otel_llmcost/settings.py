"""`llmcost.yaml` and the environment → frozen `Settings`, validated at start-up.

The same file serves the application, the OTLP stage and the command line. Everything it says can be said by the
environment too: `OTEL_LLMCOST_LEDGER` is `ledger`, `OTEL_LLMCOST_ATTRIBUTION_DIMENSIONS` is
`attribution.dimensions`; values are read as YAML and win over the file. `OTEL_LLMCOST_CONFIG` names the file.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from otel_llmcost.config_types import Currency, Day, FxRate, Section
from otel_llmcost.errors import ConfigError, nearest
from otel_llmcost.stage_settings import StageSettings
from otel_llmcost.yaml_file import Location, YamlFile, explain_mistake, parse_yaml

ENV_PREFIX: Final = "OTEL_LLMCOST_"
ENV_CONFIG: Final = "OTEL_LLMCOST_CONFIG"
LEDGER_ACCESS: Final[Mapping[str, str]] = {
    "OTEL_LLMCOST_LEDGER_USER": "User of a ClickHouse ledger, where the URL names none.",
    "OTEL_LLMCOST_LEDGER_PASSWORD": "Password, where the URL has none.",
    "OTEL_LLMCOST_LEDGER_PASSWORD_FILE": "File with the password; read at every connection.",
    "OTEL_LLMCOST_LEDGER_CA_FILE": "File with the certificate authority of a clickhouses:// ledger (PEM).",
    "OTEL_LLMCOST_LEDGER_CERT_FILE": "File with our own certificate (PEM), for a server that asks for one.",
    "OTEL_LLMCOST_LEDGER_KEY_FILE": "File with its key, where it is not in the same file.",
}
"""Variables that let us in at the ledger. They are no keys of the file: secrets do not belong there."""
LEDGER_SCHEMES: Final = ("clickhouse", "clickhouses", "chdb", "otlp", "otlps")
DIMENSION_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


def _check_ledger(url: str) -> str:
    if url == "off":
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is no URL") from None  # the parser's own text quotes the password
    if parts.scheme not in LEDGER_SCHEMES:
        raise ValueError(f"must be 'off' or a URL that starts with {', '.join(s + '://' for s in LEDGER_SCHEMES)}")
    if parts.scheme == "chdb" and not parts.path.strip("/"):
        raise ValueError("chdb needs the path of a directory: chdb:///var/lib/llmcost")
    if parts.scheme != "chdb" and not parts.hostname:
        raise ValueError(f"names no host: {parts.scheme}://host:port")
    return url


def _off_is_a_word(value: Any) -> Any:
    """YAML 1.1 reads a bare `off` as False."""
    return "off" if value is False else value


def _check_source(source: str) -> str:
    if "://" in source and not source.startswith(("https://", "http://")):
        raise ValueError("must be off, genai-prices, a URL that starts with https:// or http://, or a path")
    if not source:
        raise ValueError("must be off, genai-prices, a URL or a path")
    return source


def _check_directory(path: str) -> str:
    if path and not Path(path).is_absolute():
        raise ValueError("must be an absolute path: not every process starts in the same directory")
    return path


def _check_sha256(text: str) -> str:
    if text and not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError("must be 64 lower-case hex digits")
    return text


def _check_dimension(name: str) -> str:
    if not DIMENSION_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no dimension name: lower-case letters, digits and _, at most 63")
    return name


def _check_cluster(name: str) -> str:
    if name and not re.fullmatch(r"[A-Za-z0-9_.{}-]{1,128}", name):
        raise ValueError("is no name of a cluster: letters, digits, '_', '-', '.', or a macro such as {cluster}")
    return name


LedgerUrl = Annotated[str, AfterValidator(_check_ledger)]
Directory = Annotated[str, AfterValidator(_check_directory)]
DimensionName = Annotated[str, AfterValidator(_check_dimension)]


class Rule(Section):
    """One attribution rule; a later rule overrides an earlier one. It does `set` or `from_baggage`, or both."""

    when: dict[str, str] = Field(default_factory=dict)
    """Conditions, all of which must hold: `service`, `provider`, `model`, `span.<attribute>`, `resource.<attribute>`
    or a dimension, against a value or a shell pattern (`support-*`)."""
    set: dict[DimensionName, str] = Field(default_factory=dict)
    """Dimension → value; `{resource.k8s.namespace.name}`, `{span.user.id}`, `{service}` are replaced. A template with
    a missing value sets nothing."""
    from_baggage: list[DimensionName] = Field(default_factory=list)
    """Dimensions taken from baggage entries of the same name (in-process), or from span attributes of that name, as
    OpenTelemetry's baggage span processor leaves them."""


class AttributionSettings(Section):
    """Who pays for a call."""

    dimensions: list[DimensionName] = Field(default_factory=lambda: ["team", "feature", "customer"])
    """Dimensions that every line carries, beside the built-in user, session, agent, workflow and run."""
    rules: list[Rule] = Field(default_factory=list)
    """Applied in order; a later rule overrides."""
    unattributed: str = "(none)"
    """Value of a dimension that no rule set. The ledger's view `coverage` and the dashboards take `(none)` and an empty
    value for nobody; another word counts as an owner there."""


class ProviderSettings(Section):
    """Where providers are reached."""

    hosts: dict[str, str] = Field(default_factory=dict)
    """`host`, `host:port` or either with a path prefix → the seller's name, for a gateway or a server of your own:
    `{"llm.internal:8443/openai": openai}`."""
    stream_usage: Annotated[bool, Field(strict=False)] = True
    """Ask OpenAI and Azure OpenAI for the usage of chat streams that do not ask themselves, and take the answer out
    again before the application sees it."""
    estimate: Annotated[bool, Field(strict=False)] = True
    """Count tokens ourselves where a chat stream ends without anybody telling its usage: status `estimated`."""
    stream_usage_hosts: dict[str, bool] = Field(default_factory=dict)
    """The same for single hosts, as in `hosts`: `true` for a compatible server that knows `stream_options`, `false` to
    leave one alone."""


class IdentitySettings(Section):
    """Which spans are one call."""

    gateways: list[str] = Field(default_factory=lambda: ["litellm*"])
    """Services (names or shell patterns) that call providers for their clients: their record of a call counts, and
    what clients in the same trace told of it is a duplicate."""
    gateway_hosts: list[str] = Field(default_factory=list)
    """Hosts of gateways that hand on the provider's own response ids, and no id twice (no cache): an id from there
    names a call like the provider's."""
    closed_frameworks: list[str] = Field(default_factory=list)
    """Agents whose provider calls nobody tells, by instrumentation scope or agent name (names or shell patterns): their
    own spans are counted, where no call is told below them."""
    cache_hit_attributes: list[str] = Field(default_factory=lambda: ["litellm.cache_hit"])
    """Span attributes that are true where a cache in front of the provider answered: such a line costs 0, and
    `cache_savings_usd` is what it avoided."""
    remembered_spans: Annotated[int, Field(ge=0, le=10_000_000)] = 50_000
    """Spans that `otel-llmcost up` keeps in mind (1 to 3 KB each) to recognise duplicates and to pass ids of sessions,
    agents and workflows down to calls that came in another message."""


class DeliverySettings(Section):
    """How lines travel from the application to the ledger."""

    queue_size: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    """Spans that wait in memory at most; what does not fit is counted in `llmcost.dropped`."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    """Lines written at once at most."""
    flush_interval_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 1_000
    """Longest wait of a line before it is written."""
    shutdown_timeout_ms: Annotated[int, Field(ge=0, le=600_000)] = 10_000
    """Longest wait for the ledger when the application ends."""
    spool: Directory = ""
    """Directory that keeps lines on disk until the ledger has them, across crashes, restarts and outages; empty: lines
    wait in memory only. Processes of one machine share it."""
    spool_interval_ms: Annotated[int, Field(ge=1, le=60_000)] = 100
    """Longest wait of a line before it is in the spool: what a crash may cost."""
    spool_max_bytes: Annotated[int, Field(ge=1_048_576, le=1 << 50)] = 1_073_741_824
    """Bytes of the spool at most, and of the dead letters; about 1 KB a line."""
    spool_sync: Annotated[bool, Field(strict=False)] = True
    """Lines in the spool survive a crash of the machine too; `false`: of the process only, with less work for the
    disk."""
    dead_letters: Directory = ""
    """Directory for lines that the ledger refuses for good, until `otel-llmcost ledger replay`; empty: in `spool`, and
    without one they are dropped and counted."""


class MetricsSettings(Section):
    """The metrics `llmcost.*`."""

    dimensions: list[DimensionName] = Field(default_factory=lambda: ["team", "feature"])
    """Dimensions that are attributes of metrics. Each multiplies the series: name only those of few values."""


class RefreshSettings(Section):
    """Newer data for the price book, between two releases of this package."""

    source: Annotated[str, BeforeValidator(_off_is_a_word), AfterValidator(_check_source)] = "off"
    """`off`; `genai-prices`, the data that project publishes; or the URL (`https://…`) or path of such a file."""
    interval_s: Annotated[int, Field(ge=60, le=31_536_000)] = 86_400
    """Seconds between two looks."""
    timeout_s: Annotated[int, Field(ge=1, le=600)] = 30
    """Longest time a look may take."""
    keep: str = ""
    """File that the last good data is kept in, so that the next start begins with it; nowhere by default."""
    sha256: Annotated[str, AfterValidator(_check_sha256)] = ""
    """Take nothing but data with this SHA-256 (hex)."""
    min_models_percent: Annotated[int, Field(ge=1, le=100)] = 90
    """Take no data with fewer models than this part of those in use."""


class PriceSettings(Section):
    """Where prices come from, beside the book that comes with genai-prices."""

    overlays: list[str] = Field(default_factory=list)
    """Price files of your own, or patterns such as `prices/*.yaml`: negotiated prices, private models, deployments,
    mark-ups. Relative to the configuration file; from the environment, to the working directory."""
    fx: dict[Currency, list[FxRate]] = Field(default_factory=dict)
    """Currency → what it is worth from a day on, in USD: `{EUR: [{from: 2026-01-01, rate: 1.09}]}`."""
    closed_until: Day | None = None
    """First day that is not billed yet (UTC): restating leaves the days before it alone unless told otherwise."""
    refresh: RefreshSettings = Field(default_factory=RefreshSettings)


class StorageSettings(Section):
    """How a ledger in ClickHouse is stored; `otel-llmcost schema apply` brings it there."""

    cluster: Annotated[str, AfterValidator(_check_cluster)] = ""
    """Name of a cluster: tables are made on all of its servers and replicated. None for one server, an embedded ledger
    and ClickHouse Cloud."""
    sharded: Annotated[bool, Field(strict=False)] = False
    """True: calls are spread over the shards of the cluster, by their ids."""
    calls_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """How long calls are kept, in days; whole months are dropped once their last day is that old. 0: for ever."""
    details_days: Annotated[int, Field(ge=0, le=36_500)] = 35
    """How long the response id and the parent span id of a call are kept, by whole months. 0: as the call."""
    rollups_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """How long totals by minute, hour and day are kept, by whole months, and not shorter than calls. 0: for ever."""
    settle_interval_s: Annotated[int, Field(ge=0, le=86_400)] = 60
    """How often `otel-llmcost up` stores the totals of hours that are over. 0: never; dashboards are as exact, but
    slower."""
    detect_interval_s: Annotated[int, Field(ge=0, le=86_400)] = 60
    """How often `otel-llmcost up` and `otel-llmcost watch` look for anomalies. 0: never."""

    @model_validator(mode="after")
    def _totals_outlive_calls(self) -> "StorageSettings":
        if self.rollups_days and not 0 < self.calls_days <= self.rollups_days:
            raise ValueError("rollups_days is shorter than calls_days: totals would lack calls that are there")
        return self


class Settings(Section):
    """The whole configuration."""

    ledger: LedgerUrl = "off"
    """Where bill lines go: `clickhouse://user@host:8123/llmcost`, `clickhouses://…`, `chdb:///path`,
    `otlp://host:4317`, `otlps://…` or `off`."""
    disabled: Annotated[bool, Field(strict=False)] = False
    """True: nothing is instrumented and nothing is written."""
    usage_cost_attribute: Annotated[bool, Field(strict=False)] = True
    """Also write `gen_ai.usage.cost`, the key that today's readers look for."""
    attribution: AttributionSettings = Field(default_factory=AttributionSettings)
    providers: ProviderSettings = Field(default_factory=ProviderSettings)
    identity: IdentitySettings = Field(default_factory=IdentitySettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    prices: PriceSettings = Field(default_factory=PriceSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    stage: StageSettings = Field(default_factory=StageSettings)


def load_settings(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """Read the file (`path`, else `OTEL_LLMCOST_CONFIG`, else none) and the environment.

    Raises:
        ConfigError: every mistake, one a line, each with its file and line or its variable.
    """
    file = path or (Path(environ[ENV_CONFIG]) if environ.get(ENV_CONFIG) else None)
    document = _read(file) if file else YamlFile.empty()
    overrides = _environment(environ)
    try:
        return Settings.model_validate(_merged(document.data, overrides))
    except ValidationError as error:
        lines = [_describe(detail, document, overrides) for detail in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from None


def _read(path: Path) -> YamlFile:
    document = YamlFile.read(path)
    if document.data.get("ledger") is False:
        document.data["ledger"] = "off"  # YAML 1.1 reads a bare `off` as False
    prices = document.data.get("prices")
    overlays = prices.get("overlays") if isinstance(prices, dict) else None
    if isinstance(prices, dict) and isinstance(overlays, list):
        prices["overlays"] = [str(path.parent / name) if isinstance(name, str) else name for name in overlays]
    return document


def _describe(detail: ErrorDetails, document: YamlFile, overrides: Mapping[str, Any]) -> str:
    """One mistake as `where: key: what, and what to do`."""
    location, text = explain_mistake(detail, Settings)
    place = "environment: " if _is_from_environment(location, overrides) else document.place(location)
    return f"{place}{text}"


def _is_from_environment(location: Location, overrides: Mapping[str, Any]) -> bool:
    node: Any = overrides
    for depth, part in enumerate(location):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
        if not isinstance(node, dict) or depth == len(location) - 1:
            return True
    return False


def environment_names() -> dict[str, tuple[str, ...]]:
    """Every variable that sets a key, with the key's path in the file."""
    return {ENV_PREFIX + "_".join(path).upper(): path for path in _leaves(Settings)}


def json_schema() -> dict[str, Any]:
    """The file's JSON Schema, for editors."""
    return Settings.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def _leaves(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _leaves(info.annotation, (*prefix, name))
        else:
            yield (*prefix, name)


_NO_KEYS: Final = frozenset({ENV_CONFIG, *LEDGER_ACCESS})


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The nested values that the environment sets."""
    names = environment_names()
    found: dict[str, Any] = {}
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX) or variable in _NO_KEYS or not environ[variable].strip():
            continue  # as everywhere in OpenTelemetry, an empty variable is one that is not set
        if variable not in names:
            raise ConfigError(f"{variable}: unknown variable{nearest(variable, sorted([*names, *_NO_KEYS]))}")
        *parents, leaf = names[variable]
        section = found
        for parent in parents:
            section = section.setdefault(parent, {})
        section[leaf] = _environment_value(variable, environ[variable])
    return found


def _environment_value(variable: str, text: str) -> Any:
    try:
        value = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{variable}: not YAML: {error}") from None
    # YAML 1.1 reads a bare `off` as False; the ledger's `off` is a word.
    return text if variable == f"{ENV_PREFIX}LEDGER" else value


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged
