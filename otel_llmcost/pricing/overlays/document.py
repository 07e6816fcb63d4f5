"""What a price file (`prices/*.yaml`) may say: one model a section, validated as `llmcost.yaml` is.

Rates are per million tokens; pages and searches per thousand, audio per hour, as in genai-prices. Amounts are USD
unless `currency` says otherwise. An entry holds from the day `from`, 00:00 UTC, until the day `until`, which is the
first that it does not hold on.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from otel_llmcost.call import Bucket, Part
from otel_llmcost.config_types import Amount, Currency, Day, Percent, PositiveAmount, Section
from otel_llmcost.pricing.overlays.fields import (
    CONDITION_NAME,
    BucketRates,
    EntryId,
    NamePatterns,
    PositiveCount,
    names_of,
)


class LongContext(Section):
    """Rates of a call with more input than that; they hold for all its tokens."""

    above_input_tokens: PositiveCount
    """Total input, cached included, above which these rates hold."""
    rates: BucketRates
    """Bucket → rate; a bucket that is not named keeps its rate."""


class Variant(Section):
    """Rates in another context, such as a service tier."""

    when: dict[str, str]
    """What the call must say: `service_tier: batch`, `speed: fast`."""
    rates: BucketRates
    """Bucket → rate; a bucket that is not named keeps its rate."""
    long_context: list[LongContext] = Field(default_factory=list)
    """Rates above a length of the input."""


class Gpu(Section):
    """Machines of your own, amortised over the tokens they serve."""

    count: PositiveAmount = Field(strict=False)
    """Machines or GPUs that are paid for."""
    per_hour: Amount
    """What one of them costs per hour, used or not."""
    hours_per_day: Annotated[PositiveAmount, Field(le=24)] = Field(default=24, validate_default=True)
    """Hours a day that they are paid for."""
    expected_tokens_per_month: PositiveAmount
    """Tokens of all kinds that they are expected to serve in a month: the assumption until a restatement measures."""


class Entry(Section):
    """What every entry says."""

    id: EntryId
    """Short and unique in all price files; bill lines name it in `reason`."""
    valid_from: Day = Field(alias="from")
    """First day of the entry (UTC)."""
    until: Day | None = None
    """First day that it does not hold on any more; without it the entry goes on."""
    currency: Currency | None = None
    """Currency of its amounts; that of the file by default."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Where two entries can hold for one call and neither is the more specific: the higher one does."""
    note: str = ""
    """For people: the contract, the source of the price."""

    @model_validator(mode="after")
    def _check_days(self) -> Self:
        if self.until is not None and self.until <= self.valid_from:
            raise ValueError(f"until {self.until} must come after from {self.valid_from}")
        return self


def _one_of(entry: Section, *names: str) -> None:
    given = [name for name in names if getattr(entry, name) not in (None, {}, [])]
    if len(given) != 1:
        says = f"says {' and '.join(given)}" if given else "says none"
        raise ValueError(f"must say exactly one of {', '.join(names)}; {says}")


class PrivateModel(Entry):
    """A model with a price of your own: private, self-hosted, or not in the book."""

    provider: NamePatterns
    """The seller, as bill lines name it; a server of your own is its host."""
    model: NamePatterns
    """The model, as the call names it; any case."""
    rates: BucketRates = Field(default_factory=dict)
    """Bucket → rate; a bucket that is not named has the rate of the wider one (cached input that of input)."""
    long_context: list[LongContext] = Field(default_factory=list)
    """Rates above a length of the input."""
    variants: list[Variant] = Field(default_factory=list)
    """Rates in other contexts, such as service tiers; the first that matches holds."""
    per_request: Amount | None = None
    """Fixed price of a call."""
    per_second: Amount | None = None
    """Price of a second that a call lasts."""
    gpu: Gpu | None = None
    """Machines of your own instead of rates."""

    @model_validator(mode="after")
    def _check_price(self) -> Self:
        priced = bool(self.rates) or self.per_request is not None or self.per_second is not None
        if priced == (self.gpu is not None):
            raise ValueError("must say either gpu, or one or more of rates, per_request and per_second")
        if self.gpu and (self.variants or self.long_context):
            raise ValueError("gpu has no variants and no long_context: all its tokens cost the same")
        return self


class Conditional(Entry):
    """An entry that holds for some calls."""

    when: dict[str, NamePatterns] = Field(default_factory=dict)
    """Which calls, all of it: `provider`, `model` (the id that `otel-llmcost prices list` shows), `host`, `service`,
    `environment`, `operation`, `service_tier`, or a dimension such as `customer`; a name, a pattern or several."""

    @model_validator(mode="after")
    def _check_conditions(self) -> Self:
        for name in self.when:
            if not CONDITION_NAME.fullmatch(name):
                raise ValueError(f"when: {name!r} is no name: lower-case letters, digits and _")
        return self


class VolumeTier(Section):
    """The price once a month's volume is above `above`."""

    above: Amount
    """Volume of the month."""
    percent_off: Percent | None = None
    """Percent off the list price."""
    rates: BucketRates = Field(default_factory=dict)
    """Negotiated rates instead: bucket → rate."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        _one_of(self, "percent_off", "rates")
        return self


class Volume(Section):
    """A discount by the volume of a month."""

    by: Literal["usd", "tokens"]
    """What is counted: list price (in the entry's currency) or tokens, of the calls that the entry is applied to."""
    expected_per_month: PositiveAmount
    """Committed or expected volume: the assumption until a restatement measures."""
    apply: Literal["all", "graduated"] = "all"
    """`all`: the tier that the month reaches holds for all of it. `graduated`: each tier for what lies in it."""
    tiers: Annotated[list[VolumeTier], Field(min_length=1)]
    """Below the first tier the list price holds. All tiers say percent_off, or all name the same rates."""

    @model_validator(mode="after")
    def _check_tiers(self) -> Self:
        starts = [tier.above for tier in self.tiers]
        if any(later <= earlier for earlier, later in pairwise(starts)):
            raise ValueError("tiers must rise: each `above` greater than the one before")
        if any(tier.rates.keys() != self.tiers[0].rates.keys() for tier in self.tiers):
            raise ValueError("tiers must all say percent_off, or all name the same rates")
        if self.tiers[0].rates and self.apply == "graduated" and starts[0]:
            raise ValueError("graduated rates must begin with a tier `above: 0`: there is no one list rate below it")
        return self


class Discount(Conditional):
    """A negotiated price."""

    parts: Annotated[list[str], names_of(Part)] = Field(default_factory=list)
    """Parts of the bill that it holds for: input, output, cache_read, cache_write, other; all by default."""
    buckets: Annotated[list[str], names_of(Bucket)] = Field(default_factory=list)
    """Single buckets instead of parts: `output_audio`, `reasoning`."""
    percent_off: Percent | None = None
    """Percent off the list price."""
    rates: BucketRates = Field(default_factory=dict)
    """Negotiated rates instead. What is not named keeps its list price; `output` also stands for reasoning and
    citations, `input` for the results of the provider's tools."""
    long_context: list[LongContext] = Field(default_factory=list)
    """Negotiated rates above a length of the input."""
    volume: Volume | None = None
    """Percent off, or rates, by volume instead."""

    @property
    def rate_names(self) -> frozenset[str]:
        """Buckets that it names rates for."""
        return frozenset(self.volume.tiers[0].rates if self.volume else self.rates)

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        _one_of(self, "percent_off", "rates", "volume")
        if self.rate_names and (self.parts or self.buckets):
            raise ValueError("rates name their buckets themselves; leave out parts and buckets")
        if self.parts and self.buckets:
            raise ValueError("must say parts or buckets, not both")
        if self.long_context and not self.rates:
            raise ValueError("long_context belongs to rates")
        named = {bucket for tier in self.long_context for bucket in tier.rates}
        if named - self.rates.keys():
            raise ValueError(f"long_context names what rates do not: {', '.join(sorted(named - self.rates.keys()))}")
        return self


class Markup(Conditional):
    """What is put on top, for resale."""

    percent: Amount = Field(default=0, validate_default=True)
    """Percent on top."""
    per_call: Amount = Field(default=0, validate_default=True)
    """Fixed amount on top of each call."""
    percent_of: Literal["effective", "list"] = "effective"
    """What the percentage is of: the cost after everything else, or the list price, which then is the price."""


class Deployment(Entry):
    """What a name of your own stands for: an Azure deployment, an application inference profile, an alias."""

    provider: NamePatterns | None = None
    """The seller that the call went to; any by default."""
    host: NamePatterns | None = None
    """The host that it went to; any by default."""
    model: NamePatterns
    """The name that the call uses: the deployment, the ARN."""
    base_model: str = Field(min_length=1)
    """The model that it is priced as."""
    base_provider: str = ""
    """The seller whose price holds; the call's own by default."""


class Commitment(Conditional):
    """What is paid whether it is used or not: provisioned throughput, committed spend."""

    per_month: Amount | None = None
    """Fixed cost of a month."""
    per_hour: Amount | None = None
    """Fixed cost of an hour."""
    committed_per_month: Amount | None = None
    """Least spend of a month: what is short of it is spread over the month's calls."""
    spread_by: Literal["tokens", "usd", "requests", "seconds"] = "tokens"
    """How a fixed cost is shared out: by tokens, list price, calls, or seconds of duration. Searches and pages keep
    their own price."""
    expected_per_month: PositiveAmount
    """Use expected in a month, in what `spread_by` counts (`usd` in the entry's currency); of committed spend: the
    spend expected. The assumption until a restatement measures."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        _one_of(self, "per_month", "per_hour", "committed_per_month")
        if self.committed_per_month is not None and "spread_by" in self.model_fields_set:
            raise ValueError("committed_per_month is spread by spend; leave out spread_by")
        return self


class FreeTier(Conditional):
    """What is free each month, shared out evenly over the month."""

    tokens_per_month: Amount | None = None
    """Tokens of all kinds that are free."""
    requests_per_month: Amount | None = None
    """Calls that are free."""
    amount_per_month: Amount | None = None
    """Spend that is free."""
    expected_per_month: PositiveAmount
    """Use expected in a month, in the same unit: the assumption until a restatement measures."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        _one_of(self, "tokens_per_month", "requests_per_month", "amount_per_month")
        return self


class Credit(Conditional):
    """Credit that is used up, month after month, and expires on `until`."""

    amount: PositiveAmount
    """The whole credit."""
    expected_per_month: PositiveAmount
    """Spend expected in a month: the assumption until a restatement measures."""

    @model_validator(mode="after")
    def _check_expiry(self) -> Self:
        if self.until is None:
            raise ValueError("must say until: the day that the credit expires on")
        return self


class PriceFile(Section):
    """A price file."""

    currency: Currency = "USD"
    """Currency of the amounts of the file."""
    models: list[PrivateModel] = Field(default_factory=list)
    """Models with prices of your own."""
    deployments: list[Deployment] = Field(default_factory=list)
    """Names of your own → models."""
    discounts: list[Discount] = Field(default_factory=list)
    """Negotiated prices."""
    commitments: list[Commitment] = Field(default_factory=list)
    """Provisioned throughput and committed spend."""
    free: list[FreeTier] = Field(default_factory=list)
    """Free tiers."""
    credits: list[Credit] = Field(default_factory=list)
    """Credits that expire."""
    markups: list[Markup] = Field(default_factory=list)
    """Mark-ups for resale."""

    def entries(self) -> Iterator[tuple[str, int, Entry]]:
        """Every entry with its section and its place there."""
        for section in SECTIONS:
            for index, entry in enumerate(getattr(self, section)):
                yield section, index, entry


SECTIONS: Final = ("models", "deployments", "discounts", "commitments", "free", "credits", "markups")
"""In the order in which they change a price."""


def schema_text() -> str:
    """The JSON Schema of a price file, for editors, as it stands in docs/prices.schema.json."""
    schema = PriceFile.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
