"""Where a restatement stands among the versions of a line. Pure.

The row with the highest version is the line (decision 4). `identity.version` orders records of one call by how much
they know; a restatement knows no more about the call than the record that it prices again. So its number, the
generation, stands *below* what a record knows and *above* the checksum that decides between equals:

    bit 62            a record that repeats another call
    all but imports   56 usage told, nearness, source · 48 status, buckets, who · 26 generation · 0 checksum
    imports           56 usage told, nearness, source · 24 time of the import (s) · 2 generation

- The original record, or another that knows as much, delivered late: loses against the restated line.
- A fuller record, or a later import of the same rows: wins, at the price it came with. The next restatement of the
  same lines prices it as well.
- What is restated twice: the later run wins. Runs are numbered by the ledger.
"""

from typing import Final

from otel_llmcost.call import LLMCall, Source
from otel_llmcost.identity import version

GENERATION_BITS: Final = 22
MAX_GENERATION: Final = (1 << GENERATION_BITS) - 1
IMPORT_SHIFT: Final = 2
SHIFT: Final = 26
"""Where the generation begins, in imports and in all other records."""

_RANK_BITS: Final = 40  # of identity.version
_CHECKSUM_BITS: Final = 26
_REVISION_BITS: Final = 34
_REVISION_SHIFT: Final = 24
_HEAD_SHIFT: Final = 56
_KNOWLEDGE_SHIFT: Final = 48


def first_version(call: LLMCall) -> int:
    """The version of a record as it arrives: generation 0."""
    number = version(call)
    duplicate, rank = number >> _RANK_BITS << _RANK_BITS, number & (1 << _RANK_BITS) - 1
    if call.source is Source.IMPORT:
        revision = min(rank & (1 << _REVISION_BITS) - 1, (1 << 32) - 1)
        return duplicate | rank >> _REVISION_BITS << _HEAD_SHIFT | revision << _REVISION_SHIFT
    knowledge, checksum = rank >> _CHECKSUM_BITS, rank & (1 << _CHECKSUM_BITS) - 1
    return duplicate | knowledge << _KNOWLEDGE_SHIFT | checksum


def shift_of(source: str) -> int:
    """Where the generation stands in versions of records of a source."""
    return IMPORT_SHIFT if source == Source.IMPORT else SHIFT


def restated_version(number: int, source: str, generation: int) -> int:
    """The version of a line as a restatement writes it."""
    shift = shift_of(source)
    return number & ~(MAX_GENERATION << shift) | generation << shift


def generation_of(number: int, source: str) -> int:
    """The restatement that wrote a version; 0 is none."""
    return number >> shift_of(source) & MAX_GENERATION
