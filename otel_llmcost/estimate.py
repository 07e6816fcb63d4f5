"""Counting tokens ourselves, for chat streams whose usage nobody tells; off the caller's path.

With tiktoken installed and the model's vocabulary in its cache (nothing is ever downloaded), its count is used, rule
`estimate:tiktoken`. Else four bytes of UTF-8 are taken for a token, rounded up, rule `estimate:bytes/4`: OpenAI's own
rule of thumb for English text, which counts other scripts dearer. A chat request adds four tokens a message, and three
that open the answer, as OpenAI's cookbook counts them. Pictures and sound in a prompt are not counted, and flagged.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from otel_llmcost.call import ESTIMATE_RULE, Usage
from otel_llmcost.usage import UNREADABLE, Side, exclusive_usage
from otel_llmcost.wire.exchange import Answer

TOKENS_PER_MESSAGE: Final = 4
TOKENS_TO_OPEN: Final = 3
BYTES_PER_TOKEN: Final = 4

_VOCABULARIES: Final = "https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"

Count = Callable[[str], int]


def estimated_usage(request: Mapping[str, Any], model: str, answer: Answer) -> Usage:
    """Usage of a chat request (its parsed body) to a model and of what was answered."""
    count, rule = _counter(model)
    flags: list[str] = []
    messages = request.get("messages")
    if isinstance(messages, list):
        sent = [message for message in messages if isinstance(message, dict)]
        texts = [text for message in sent for text in _texts(message, flags)]
        input_tokens = count("\n".join(texts)) + TOKENS_PER_MESSAGE * len(sent) + TOKENS_TO_OPEN
    else:
        input_tokens = count("\n".join(_texts({"content": request.get("prompt")}, flags)))
    output_tokens = -(-count(answer.text) * answer.total_bytes // max(answer.kept_bytes, 1))
    return exclusive_usage(Side(input_tokens), Side(output_tokens), rule=rule, flags=tuple(dict.fromkeys(flags)))


def _texts(message: Mapping[str, Any], flags: list[str]) -> Iterable[str]:
    content = message.get("content")
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            if isinstance(part.get("text"), str):
                yield part["text"]
            else:
                flags.append(f"{UNREADABLE}{str(part.get('type'))[:40]}: not counted")
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield from (function[key] for key in ("name", "arguments") if isinstance(function.get(key), str))


def _counter(model: str) -> tuple[Count, str]:
    encode = _tiktoken(model)
    if encode is None:
        return _by_bytes, f"{ESTIMATE_RULE}bytes/{BYTES_PER_TOKEN}"
    return lambda text: len(encode(text)), f"{ESTIMATE_RULE}tiktoken"


def _by_bytes(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


@lru_cache(maxsize=256)
def _tiktoken(model: str) -> Callable[[str], list[int]] | None:
    """The encoder of a model's vocabulary, where library and data are at hand."""
    try:
        import tiktoken
    except ImportError:
        return None
    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        return None
    return tiktoken.get_encoding(name).encode_ordinary if _is_cached(name) else None


def _is_cached(name: str) -> bool:
    """Whether tiktoken has the vocabulary on disk: it would download it otherwise."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    default = Path(tempfile.gettempdir()) / "data-gym-cache"
    key = hashlib.sha1(_VOCABULARIES.format(name=name).encode()).hexdigest()  # noqa: S324 - tiktoken's own file name
    return ((Path(folder) if folder else default) / key).is_file()


class Background:
    """One thread for estimates. What was handed to it is done before the interpreter's exit handlers run."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Run the job soon; now, where no thread can be started any more."""
        try:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, "llmcost-estimate")
            self._executor.submit(job)
        except RuntimeError:
            job()

    def flush(self) -> None:
        """Wait until everything submitted so far is done."""
        if self._executor is not None:
            self._executor.submit(int).result()


BACKGROUND: Final = Background()
