"""Endpoints that take or make media: images, audio transcription, and Mistral's OCR.

Source: the API references of images and audio, and Mistral's of OCR. Some bill by tokens, some by seconds or pages;
the answer says which, and some tell only a price.
"""

import re
from typing import Any, Final

from otel_llmcost.call import UNKNOWN_USAGE, Bucket, Usage
from otel_llmcost.providers.fields import Counts, objects, read_identity, section
from otel_llmcost.providers.openai_usage import read_usage
from otel_llmcost.providers.reported_cost import read_reported_cost
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream, of images or a transcription."""
    read_identity(document, reading)
    usage = section(document, "usage")
    if usage:
        read_reported_cost(usage, reading)
        reading.usage = read_usage(usage, reading, "media")


def read_ocr(document: dict[str, Any], reading: Reading) -> None:
    """A response body of OCR."""
    read_identity(document, reading)
    counts = Counts()
    pages = counts.get(section(document, "usage_info"), "pages_processed")
    if pages is None:
        reading.usage = Usage(known=False, rule="ocr", flags=tuple(counts.flags)) if counts.flags else UNKNOWN_USAGE
        return
    bucket = Bucket.ANNOTATED_PAGES if _annotated(document) else Bucket.DOCUMENT_PAGES
    reading.usage = Usage(buckets={bucket: pages} if pages else {}, rule="ocr")


def _annotated(document: dict[str, Any]) -> bool:
    """Annotations were asked for, so they are in the answer: of the document, or of the images on its pages."""
    if document.get("document_annotation") is not None:
        return True
    images = (image for page in objects(document, "pages") for image in objects(page, "images"))
    return any(image.get("image_annotation") is not None for image in images)


_INTERESTING: Final = re.compile(rb'"usage"\s*:\s*\{|"error"')

IMAGES: Final = WireFormat(
    name="images",
    operation="generate_content",
    path=re.compile(
        r"(?:/deployments/(?P<model>[^/]+))?/images/(?:generations|edits|variations)/?$"
        r"|/api/v1/images/?$"  # OpenRouter
    ),
    read=read,
    interesting=_INTERESTING,
)
TRANSCRIPTIONS: Final = WireFormat(
    name="transcriptions",
    operation="generate_content",
    path=re.compile(r"(?:/deployments/(?P<model>[^/]+))?/audio/(?:transcriptions|translations)/?$"),
    read=read,
    interesting=_INTERESTING,
)
OCR: Final = WireFormat(
    name="ocr",
    operation="generate_content",
    path=re.compile(r"/v1/ocr/?$"),
    read=read_ocr,
    interesting=re.compile(rb'"usage_info"'),
)
