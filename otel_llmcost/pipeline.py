"""The way of the data, and the one place that composes its steps.

capture       normalise        identify          price           attribute        deliver
───────       ─────────        ────────          ─────           ─────────        ───────
instrumen-    dialects/        identity.py       pricing/        attribution.py   exporters/
tation/    →  Span →        →  one id per     →  book * usage →  rules → tags  →  ClickHouse, OTLP,
wire/         LLMCall          call                                               metrics
providers/

host                      feeds                         through
the application           ended spans                   processors/sdk.py
the OTLP receiver         spans of a message            processors/otlp.py
the command line          rows of a file                importing
"""

from dataclasses import replace

from otel_llmcost.attribution import WHO_FIELDS, Attribution
from otel_llmcost.call import LLMCall, Source
from otel_llmcost.dialects import read_span
from otel_llmcost.errors import InputError
from otel_llmcost.pricing import PriceBook, price_call
from otel_llmcost.settings import Settings
from otel_llmcost.span import Attributes, Span


class Pipeline:
    """Turns spans and unpriced calls into bill lines. Pure: no I/O, no clock, no environment."""

    def __init__(self, book: PriceBook, attribution: Attribution) -> None:
        self.book = book
        self.attribution = attribution

    @classmethod
    def from_settings(cls, settings: Settings) -> "Pipeline":
        """
        Raises:
            ConfigError: an attribution rule names something that does not exist.
        """
        return cls(PriceBook.bundled(), Attribution(settings.attribution))

    def process_span(self, span: Span, source: Source) -> LLMCall | None:
        """The bill line of a span; None where the span is no inference call.

        Raises:
            InputError: this span can never be read; the spans beside it can.
        """
        try:
            call = read_span(span, source)
            return None if call is None else self._finish(call, span.attributes, span.resource)
        except Exception as error:
            # Input is hostile, and one span must not sink the batch it came in. The type only: a text may hold content.
            raise InputError(f"the span cannot be read: {type(error).__name__}") from error

    def process_call(self, call: LLMCall) -> LLMCall:
        """The bill line of a call that comes from elsewhere than a span, such as a row of a file."""
        return self._finish(replace(call), {}, {})

    def _finish(self, call: LLMCall, span: Attributes, resource: Attributes) -> LLMCall:
        """Price and attribute a record that nobody else has seen yet.

        It is frozen for everybody after us and filled in place here: a second record of forty fields costs half as
        much as all the rest of the way.
        """
        found = self.attribution.of(call, span, resource)
        for name in WHO_FIELDS:
            if name in found:
                object.__setattr__(call, name, found.pop(name))
        object.__setattr__(call, "tags", found)
        object.__setattr__(call, "cost", price_call(call, self.book))
        return call
