"""Input and output sides of a call whose parts lie inside the total, told apart by cache and by modality."""

from collections.abc import Iterable, Mapping
from typing import Final

from otel_llmcost.call import Bucket
from otel_llmcost.usage import Side

# Modalities that are priced apart; text is what remains, and documents are priced as images.
INPUT_OF: Final = {"audio": Bucket.INPUT_AUDIO, "image": Bucket.INPUT_IMAGE, "video": Bucket.INPUT_VIDEO}
CACHE_READ_OF: Final = {
    "audio": Bucket.CACHE_READ_AUDIO,
    "image": Bucket.CACHE_READ_IMAGE,
    "video": Bucket.CACHE_READ_VIDEO,
}
OUTPUT_OF: Final = {"audio": Bucket.OUTPUT_AUDIO, "image": Bucket.OUTPUT_IMAGE, "video": Bucket.OUTPUT_VIDEO}


def input_side(
    total: int | None,
    cache: Mapping[Bucket, int],
    media: Mapping[str, int],
    flags: list[str],
    *,
    confirmed: bool = False,
) -> Side:
    """Input whose total includes its cached tokens and its tokens of each modality.

    `cache` may tell cached tokens by modality; `media` are all tokens of a modality, cached or not. `confirmed`: the
    provider's own grand total says that the input total is right, so more cached than total tokens cannot lie beside
    it either: they are not believed, and the whole input is taken as uncached, which is dearer. Appends flags.
    """
    cache = {bucket: count for bucket, count in cache.items() if count}
    cached = sum(cache.values())
    if total is None or (not media and cached <= total):
        return Side(total, cache)
    if cached > total:
        if not confirmed:
            return Side(total, cache)  # flags itself
        flags.append(f"input: cached {cached} exceeds total {total}")
        cache, cached = {}, 0
    rest = {INPUT_OF[name]: count - cache.get(CACHE_READ_OF[name], 0) for name, count in media.items()}
    return Side(total, cache | _fitting(rest, total - cached, flags))


def output_side(total: int | None, parts: Mapping[Bucket, int], flags: list[str]) -> Side:
    """Output whose total includes reasoning and its tokens of each modality. Appends flags."""
    if not parts:
        return Side(total)
    media = {bucket: count for bucket, count in parts.items() if count}
    reasoning = media.pop(Bucket.REASONING, 0)
    told = {Bucket.REASONING: reasoning} if reasoning else {}
    if total is None or reasoning > total:
        return Side(total, told | media)  # flags itself
    return Side(total, told | _fitting(media, total - reasoning, flags))


def _fitting(parts: Mapping[Bucket, int], room: int, flags: list[str]) -> dict[Bucket, int]:
    """The parts, cut where they exceed the room: what is cached or reasoning is counted in its modality as well."""
    found: dict[Bucket, int] = {}
    for bucket, count in parts.items():
        if count > room:
            flags.append(f"{bucket}: {count} overlaps, {room} of it left")
        fitting = max(min(count, room), 0)
        room -= fitting
        if fitting:
            found[bucket] = fitting
    return found


def cached_by_modality(
    cached: int, told: Mapping[str, int], media: Mapping[str, int], flags: list[str]
) -> dict[Bucket, int]:
    """Cached tokens with the told modalities taken out of the sum; more of one than was sent at all is flagged."""
    found = {}
    for name, count in told.items():
        if count > media.get(name, 0) or count > cached:
            flags.append(f"cached {name}: {count} exceeds {min(media.get(name, 0), cached)}")
        else:
            found[CACHE_READ_OF[name]] = count
            cached -= count
    return {Bucket.CACHE_READ: cached} | found


def sums_by_modality(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    """(modality, tokens) rows → tokens of each modality that is priced apart."""
    found: dict[str, int] = {}
    for name, count in rows:
        if name in INPUT_OF and count:
            found[name] = found.get(name, 0) + count
    return found
