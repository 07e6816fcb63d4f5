"""`LLMCall`: the one record everything turns into, one per provider call.

Hosts feed it in (a span of the application, an OTLP message, a row of a file), sinks take it out (ClickHouse,
OTLP, metrics). It is frozen: a step that knows more makes a new record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from otel_llmcost.money import ZERO, pico_of, usd_of

NO_ID: Final = b""


class Status(StrEnum):
    """How far the price of a line can be trusted."""

    EXACT = "exact"
    ESTIMATED = "estimated"  # tokens counted by us
    LOWER_BOUND = "lower_bound"  # aborted stream, usage partly known
    UNPRICED = "unpriced"  # no price for the model or a unit of it, or no usage known


class Outcome(StrEnum):
    """How the provider call ended."""

    OK = "ok"
    ERROR = "error"
    ABORTED = "aborted"


class Source(StrEnum):
    """Where the record was seen."""

    WIRE = "wire"
    SDK_SPAN = "sdk-span"
    OTLP = "otlp"
    IMPORT = "import"


class Part(StrEnum):
    """The part of the bill a bucket is charged to; the parts of a line sum to its cost."""

    INPUT = "input"
    OUTPUT = "output"
    CACHE_READ = "cache_read"
    CACHE_WRITE = "cache_write"
    OTHER = "other"


class Bucket(StrEnum):
    """One kind of billed unit. Buckets are exclusive: no token is in two of them."""

    INPUT = "input"  # not cached, text or a modality not told apart
    INPUT_AUDIO = "input_audio"
    INPUT_IMAGE = "input_image"
    INPUT_VIDEO = "input_video"
    INPUT_TOOL = "input_tool"  # results of the provider's own tools, given back to the model
    CACHE_READ = "cache_read"
    CACHE_READ_AUDIO = "cache_read_audio"
    CACHE_READ_IMAGE = "cache_read_image"
    CACHE_READ_VIDEO = "cache_read_video"
    CACHE_WRITE = "cache_write"  # time to live of 5 minutes, or not told apart
    CACHE_WRITE_1H = "cache_write_1h"
    OUTPUT = "output"  # without reasoning
    OUTPUT_AUDIO = "output_audio"
    OUTPUT_IMAGE = "output_image"
    OUTPUT_VIDEO = "output_video"
    OUTPUT_CITATION = "output_citation"
    REASONING = "reasoning"
    WEB_SEARCHES = "web_searches"
    STORAGE_SEARCHES = "storage_searches"  # of files that the provider keeps
    RERANK_SEARCHES = "rerank_searches"
    AUDIO_SECONDS = "audio_seconds"
    DOCUMENT_PAGES = "document_pages"
    ANNOTATED_PAGES = "annotated_pages"  # pages that were also annotated, and are priced as such alone


@dataclass(frozen=True, slots=True)
class BucketKind:
    """What a bucket counts: the part of the bill, the direction of its tokens and the unit genai-prices prices."""

    part: Part
    direction: str  # "input", "output", or "" for units that are no tokens
    unit: str  # usage key of genai_prices.data_units


BUCKETS: Final[Mapping[Bucket, BucketKind]] = MappingProxyType(
    {
        Bucket.INPUT: BucketKind(Part.INPUT, "input", "input_tokens"),
        Bucket.INPUT_AUDIO: BucketKind(Part.INPUT, "input", "input_audio_tokens"),
        Bucket.INPUT_IMAGE: BucketKind(Part.INPUT, "input", "input_image_tokens"),
        Bucket.INPUT_VIDEO: BucketKind(Part.INPUT, "input", "input_video_tokens"),
        Bucket.INPUT_TOOL: BucketKind(Part.INPUT, "input", "input_tool_tokens"),
        Bucket.CACHE_READ: BucketKind(Part.CACHE_READ, "input", "cache_read_tokens"),
        Bucket.CACHE_READ_AUDIO: BucketKind(Part.CACHE_READ, "input", "cache_audio_read_tokens"),
        Bucket.CACHE_READ_IMAGE: BucketKind(Part.CACHE_READ, "input", "cache_image_read_tokens"),
        Bucket.CACHE_READ_VIDEO: BucketKind(Part.CACHE_READ, "input", "cache_video_read_tokens"),
        Bucket.CACHE_WRITE: BucketKind(Part.CACHE_WRITE, "input", "cache_write_tokens"),
        Bucket.CACHE_WRITE_1H: BucketKind(Part.CACHE_WRITE, "input", "cache_write_1h_tokens"),
        Bucket.OUTPUT: BucketKind(Part.OUTPUT, "output", "output_tokens"),
        Bucket.OUTPUT_AUDIO: BucketKind(Part.OUTPUT, "output", "output_audio_tokens"),
        Bucket.OUTPUT_IMAGE: BucketKind(Part.OUTPUT, "output", "output_image_tokens"),
        Bucket.OUTPUT_VIDEO: BucketKind(Part.OUTPUT, "output", "output_video_tokens"),
        Bucket.OUTPUT_CITATION: BucketKind(Part.OUTPUT, "output", "output_citation_tokens"),
        Bucket.REASONING: BucketKind(Part.OUTPUT, "output", "output_reasoning_tokens"),
        Bucket.WEB_SEARCHES: BucketKind(Part.OTHER, "", "web_searches"),
        Bucket.STORAGE_SEARCHES: BucketKind(Part.OTHER, "", "storage_searches"),
        Bucket.RERANK_SEARCHES: BucketKind(Part.OTHER, "", "rerank_searches"),
        Bucket.AUDIO_SECONDS: BucketKind(Part.OTHER, "", "input_audio_seconds"),
        Bucket.DOCUMENT_PAGES: BucketKind(Part.OTHER, "", "input_document_pages"),
        Bucket.ANNOTATED_PAGES: BucketKind(Part.OTHER, "", "input_annotated_document_pages"),
    }
)

INPUT_BUCKETS: Final = frozenset(b for b, kind in BUCKETS.items() if kind.direction == "input")
OUTPUT_BUCKETS: Final = frozenset(b for b, kind in BUCKETS.items() if kind.direction == "output")
CACHE_READ_BUCKETS: Final = frozenset(b for b, kind in BUCKETS.items() if kind.part is Part.CACHE_READ)
CACHE_WRITE_BUCKETS: Final = frozenset(b for b, kind in BUCKETS.items() if kind.part is Part.CACHE_WRITE)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used, in exclusive buckets that sum to the provider's totals.

    `buckets` holds non-zero counts only. `known` is False where the provider said nothing (then it is empty).
    `rule` names the reading that mapped the provider's numbers; `flags` lists contradictions found on the way,
    each with both numbers.
    """

    buckets: Mapping[Bucket, int] = field(default_factory=dict)
    known: bool = True
    rule: str = ""
    flags: tuple[str, ...] = ()

    def _sum(self, members: frozenset[Bucket]) -> int:
        return sum([count for bucket, count in self.buckets.items() if bucket in members])

    @property
    def input_tokens(self) -> int:
        """All input, cached included."""
        return self._sum(INPUT_BUCKETS)

    @property
    def output_tokens(self) -> int:
        """All output, reasoning included."""
        return self._sum(OUTPUT_BUCKETS)

    @property
    def cache_read_tokens(self) -> int:
        return self._sum(CACHE_READ_BUCKETS)

    @property
    def cache_write_tokens(self) -> int:
        return self._sum(CACHE_WRITE_BUCKETS)

    @property
    def reasoning_tokens(self) -> int:
        return self.buckets.get(Bucket.REASONING, 0)


ESTIMATE_RULE: Final = "estimate:"
"""How the rule of a usage begins that we counted ourselves."""
CACHE_HIT_RULE: Final = "local_cache_hit:"
"""How the rule of a usage begins that a cache in front of the provider answered with: nothing was bought."""
AGENT_RULE: Final = "agent:"
"""How the rule of a usage begins that an agent's span told for calls that nobody tells."""

UNKNOWN_USAGE: Final = Usage(known=False, rule="none")


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Amounts:
    """USD per part of the bill, each rounded half-even to 1e-12.

    Kept as integers of pico-USD (1e-12 USD) in the order of `Part`: sums are exact, and a `Decimal` is made where one
    is read.
    """

    pico_usd: tuple[int, ...]

    def __init__(
        self,
        input_usd: Decimal = ZERO,
        output_usd: Decimal = ZERO,
        cache_read_usd: Decimal = ZERO,
        cache_write_usd: Decimal = ZERO,
        other_usd: Decimal = ZERO,
    ) -> None:
        parts = (input_usd, output_usd, cache_read_usd, cache_write_usd, other_usd)
        object.__setattr__(self, "pico_usd", tuple(map(pico_of, parts)))

    @staticmethod
    def of_pico(pico_usd: Iterable[int]) -> "Amounts":
        """Amounts out of pico-USD in the order of `Part`."""
        return AmountsDraft(tuple(pico_usd)).frozen()

    @property
    def input_usd(self) -> Decimal:
        return usd_of(self.pico_usd[0])

    @property
    def output_usd(self) -> Decimal:
        return usd_of(self.pico_usd[1])

    @property
    def cache_read_usd(self) -> Decimal:
        return usd_of(self.pico_usd[2])

    @property
    def cache_write_usd(self) -> Decimal:
        return usd_of(self.pico_usd[3])

    @property
    def other_usd(self) -> Decimal:
        return usd_of(self.pico_usd[4])

    @property
    def total_usd(self) -> Decimal:
        return usd_of(sum(self.pico_usd))

    def __repr__(self) -> str:
        parts = ", ".join(f"{part}_usd={usd_of(pico)}" for part, pico in zip(Part, self.pico_usd, strict=True) if pico)
        return f"Amounts({parts})"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost, or the reason why that is not known.

    `list` is at the seller's list price, `effective` after negotiated discounts and mark-ups; both are None where
    `status` is `unpriced`. `reported_usd` is what the provider itself said, where it did.
    """

    status: Status
    reason: str = ""
    list: Amounts | None = None
    effective: Amounts | None = None
    cache_savings_usd: Decimal = ZERO
    reported_usd: Decimal | None = None
    price_id: str = ""
    price_book: str = ""


class CostDraft:
    """A cost while it is made: a third of the time of the frozen constructor, which would be most of a quote's."""

    __slots__ = tuple(Cost.__slots__)

    def __init__(  # noqa: PLR0913, PLR0917 - the fields of a cost, in order
        self,
        status: Status,
        reason: str,
        listed: Amounts,
        effective: Amounts,
        cache_savings_usd: Decimal,
        reported_usd: Decimal | None,
        price_id: str,
        price_book: str,
    ) -> None:
        self.status = status
        self.reason = reason
        self.list = listed
        self.effective = effective
        self.cache_savings_usd = cache_savings_usd
        self.reported_usd = reported_usd
        self.price_id = price_id
        self.price_book = price_book

    def frozen(self) -> Cost:
        """The same object as a cost; the layouts are one."""
        self.__class__ = Cost  # type: ignore[assignment]
        return self  # type: ignore[return-value]


class AmountsDraft:
    """Amounts while they are made, as `CostDraft`; `pico_usd` in the order of `Part`."""

    __slots__ = ("pico_usd",)

    def __init__(self, pico_usd: tuple[int, ...]) -> None:
        self.pico_usd = pico_usd

    def frozen(self) -> Amounts:
        """The same object as amounts."""
        self.__class__ = Amounts  # type: ignore[assignment]
        return self  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMCall:
    """One provider call. Times are UTC nanoseconds; ids are raw bytes, empty where there is none."""

    # identity
    call_id: bytes  # 16 bytes
    duplicate_of: bytes = NO_ID  # the call that this record repeats; such a record is no line
    covers: tuple[bytes, ...] = ()  # ids under which others told this call; its own: a span below tells as much
    trace_id: bytes = NO_ID
    span_id: bytes = NO_ID
    parent_span_id: bytes = NO_ID
    source: Source
    emitter: str = ""
    at_gateway: bool = False  # told by the gateway that made the call for its clients
    service: str = ""
    environment: str = ""
    # call
    start_ns: int
    end_ns: int
    ttft_ns: int | None = None
    provider: str  # the seller, by its OpenTelemetry name
    host: str = ""
    operation: str = ""
    requested_model: str = ""
    model: str = ""  # the responding model, or the requested one where none was told
    response_id: str = ""
    streaming: bool = False
    service_tier: str = ""
    price_context: Mapping[str, str] = field(default_factory=dict)
    outcome: Outcome = Outcome.OK
    http_status: int | None = None
    error_type: str = ""
    finish_reason: str = ""
    attempt: int = 1
    revision: int = 0  # of an imported row: when it was imported (s), so that a later import corrects an earlier one
    usage: Usage = UNKNOWN_USAGE
    reported_usd: Decimal | None = None
    # who
    user: str = ""
    session: str = ""
    agent: str = ""
    workflow: str = ""
    run: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)  # team, feature, customer and every free dimension
    # money; None before the pricing step
    cost: Cost | None = None

    @property
    def is_repeated(self) -> bool:
        """Whether another record, of a span below, tells the same call: that one is counted."""
        return bool(self.duplicate_of) or self.call_id in self.covers

    @property
    def duration_ns(self) -> int:
        return max(self.end_ns - self.start_ns, 0)


def _freeze(draft: Any) -> LLMCall:
    """The same object as a call; the layouts are one."""
    draft.__class__ = LLMCall
    call: LLMCall = draft
    return call


CallDraft: Final[Any] = make_dataclass(
    "CallDraft",
    [
        (each.name, Any, field(default_factory=each.default_factory))
        if each.default_factory is not MISSING
        else (each.name, Any, field(default=each.default))
        if each.default is not MISSING
        else (each.name, Any)
        for each in fields(LLMCall)
    ],
    namespace={"frozen": _freeze},
    slots=True,
    kw_only=True,
)
"""A call while it is made, as `CostDraft`: the frozen constructor of forty fields takes three times as long."""
