"""What an SQL statement may do, decided from the engine's own tokens before it runs. No I/O.

The engine's `readonly=1` refuses writes, DDL, SET and most table functions to readers. What it lets through and an
endpoint must not: INTO OUTFILE, the scalar function `file`, DESCRIBE of a table function (which opens the file or the
URL), KILL, and a second statement behind a semicolon. The tokens come from the engine's lexer, so that the two cannot
disagree about where a comment, a string or a quoted name ends.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_llmcost.errors import LlmcostError

MAX_STATEMENT_BYTES: Final = 262_144
"""ClickHouse's own default of max_query_size. The data of an INSERT does not count."""

HEAD_BYTES: Final = 16_384
"""What is looked at first: the statement of nearly every INSERT fits, and its data need not be read as SQL."""

READ_WORDS: Final = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN"})

SAFE_TABLE_FUNCTIONS: Final = frozenset({
    "dictionary",
    "format",
    "generaterandom",
    "generateseries",
    "generate_series",
    "merge",
    "null",
    "numbers",
    "numbers_mt",
    "primes",
    "sqlstandardvalues",
    "values",
    "view",
    "viewifpermitted",
    "zeros",
    "zeros_mt",
})  # fmt: skip
"""Table functions that read tables or make rows up. Any other that the engine has, now or later, is refused."""

TABLE_WORDS: Final = frozenset({"CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "EXCHANGE", "OPTIMIZE"})
WHO_CHANGES_TABLES: Final = (
    ": end `otel-llmcost up` and work at the ledger's directory, with `otel-llmcost schema apply` for instance"
)

READONLY: Final = (164, "READONLY")
SYNTAX_ERROR: Final = (62, "SYNTAX_ERROR")
NOT_IMPLEMENTED: Final = (48, "NOT_IMPLEMENTED")
ACCESS_DENIED: Final = (497, "ACCESS_DENIED")
QUERY_IS_TOO_LARGE: Final = (223, "QUERY_IS_TOO_LARGE")


class SqlError(LlmcostError):
    """An error as ClickHouse words it; `code` is ClickHouse's number."""

    def __init__(self, kind: tuple[int, str], message: str) -> None:
        self.code, name = kind
        super().__init__(f"Code: {self.code}. DB::Exception: {message}. ({name})")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL with its place in bytes; `kind` is the engine's word for it."""

    kind: str
    text: str
    end: int

    @property
    def is_name(self) -> bool:
        return self.kind in ("BareWord", "QuotedIdentifier")

    @property
    def word(self) -> str:
        """A bare word in capitals; empty for anything else."""
        return self.text.upper() if self.kind == "BareWord" else ""

    @property
    def name(self) -> str:
        """An identifier without its quotes, in lower case."""
        return self.text.strip('`"“”').lower()


Tokenize = Callable[[str], Sequence[tuple[int, int, str]]]
"""Text → (begin, end, kind) of each token, in bytes of its UTF-8."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Names of functions that reach out of the ledger, in lower case."""

    functions: Collection[str]  # a scalar function can be named without being called: arrayMap(file, …)
    table_functions: Collection[str]


@dataclass(frozen=True, slots=True)
class Read:
    """A statement that only reads. `format` is empty where it has no FORMAT clause."""

    text: str
    tokens: str  # in lower case, with a blank between each two
    format: str


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT with its data apart: `target` is all before FORMAT or VALUES; table as (database or "", name)."""

    target: str
    table: tuple[str, str]
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """A statement that changes rows of one table by itself: INSERT … SELECT, or DELETE FROM."""

    text: str
    table: tuple[str, str]
    settings: Collection[str]  # names in its SETTINGS clause


def parse(
    payload: bytes, tokenize: Tokenize, forbidden: Forbidden, parameters: Mapping[str, str]
) -> Read | Insert | Change:
    """Understand the one statement of a request.

    Raises:
        SqlError: it is more than one, or may not run here.
    """
    head = _tokens(payload[:HEAD_BYTES], tokenize)
    if _first_word(head) == "INSERT" and not _fills_itself(head):
        insert = _parse_insert(payload, head)
        if insert is None and len(payload) > HEAD_BYTES:
            insert = _parse_insert(payload, _tokens(payload[:MAX_STATEMENT_BYTES], tokenize))
        if insert is None:
            raise SqlError(SYNTAX_ERROR, "INSERT needs FORMAT or VALUES")
        return insert
    if len(payload) > MAX_STATEMENT_BYTES:
        raise SqlError(QUERY_IS_TOO_LARGE, f"The query is larger than {MAX_STATEMENT_BYTES} bytes")
    tokens = head if len(payload) <= HEAD_BYTES else _tokens(payload, tokenize)
    first = _first_word(tokens)
    if not tokens:
        raise SqlError(SYNTAX_ERROR, "Empty query")
    if first in ("INSERT", "DELETE"):
        text = _checked_text(payload, tokens, forbidden, parameters)
        return Change(text, _target(tokens, first), _settings_named(tokens))
    if first not in READ_WORDS:
        what = f"{first[:32] or 'the statement'} is refused{WHO_CHANGES_TABLES if first in TABLE_WORDS else ''}"
        raise SqlError(READONLY, f"Cannot execute query in readonly mode: {what}")
    text = _checked_text(payload, tokens, forbidden, parameters)
    return Read(text, " ".join(token.text.lower() for token in tokens), _output_format(tokens))


def _first_word(tokens: list[Token]) -> str:
    return next((token.word for token in tokens if token.kind != "OpeningRoundBracket"), "")


def _checked_text(payload: bytes, tokens: list[Token], forbidden: Forbidden, parameters: Mapping[str, str]) -> str:
    """The statement, where it is one and names nothing that reaches out of the ledger."""
    while tokens and tokens[-1].kind == "Semicolon":
        tokens.pop()
    if any(token.kind == "Semicolon" for token in tokens):
        raise SqlError(SYNTAX_ERROR, "Multi-statements are not allowed")
    _check_names(tokens, forbidden, parameters)
    if _first_word(tokens) == "EXISTS" and any(token.is_name and "/" in token.text for token in tokens):
        raise SqlError(ACCESS_DENIED, "Files are not tables here")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        raise SqlError(SYNTAX_ERROR, "The query is not UTF-8") from None
    if "\0" in text:
        raise SqlError(SYNTAX_ERROR, "The query has a null byte")
    return text


def _check_names(tokens: list[Token], forbidden: Forbidden, parameters: Mapping[str, str]) -> None:
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.word == "OUTFILE":
            raise SqlError(ACCESS_DENIED, "INTO OUTFILE is not allowed here")
        if not token.is_name:
            continue
        if "\\" in token.text:
            raise SqlError(ACCESS_DENIED, "Quoted identifiers with escapes are not allowed here")
        called = following is not None and following.kind == "OpeningRoundBracket"
        if token.name in forbidden.functions or (called and token.name in forbidden.table_functions):
            raise SqlError(ACCESS_DENIED, f"{token.name[:64]} reaches out of the ledger and is not allowed here")
    for value in parameters.values():  # {name:Identifier} may stand where a function's name may
        if value.strip().lower() in forbidden.functions:
            raise SqlError(ACCESS_DENIED, f"{value[:64]} is not allowed as a parameter here")


def _output_format(tokens: list[Token]) -> str:
    """The name behind the FORMAT clause, which ends a statement or stands before its SETTINGS."""
    for index in range(len(tokens) - 2, -1, -1):
        ends = index + 2 == len(tokens) or tokens[index + 2].word == "SETTINGS"
        if tokens[index].word == "FORMAT" and tokens[index + 1].kind == "BareWord" and ends:
            return tokens[index + 1].text
    return ""


def _parse_insert(payload: bytes, tokens: list[Token]) -> Insert | None:
    """Find where the statement ends and its data begins; None where the tokens end before that."""
    depth = 0
    for index, token in enumerate(tokens):
        depth += {"OpeningRoundBracket": 1, "ClosingRoundBracket": -1}.get(token.kind, 0)
        if depth or index < 2:
            continue
        if token.word in ("FROM", "FUNCTION", "SETTINGS", "OUTFILE", "INFILE"):
            raise SqlError(NOT_IMPLEMENTED, f"INSERT takes data of the request or a SELECT, not {token.word}")
        if token.word == "VALUES":
            return _insert(payload, tokens[:index], "Values", token.end)
        if token.word == "FORMAT" and index + 1 < len(tokens) and tokens[index + 1].kind == "BareWord":
            return _insert(payload, tokens[:index], tokens[index + 1].text, _data_start(payload, tokens[index + 1].end))
    return None


def _insert(payload: bytes, head: list[Token], input_format: str, data_start: int) -> Insert:
    return Insert(payload[: head[-1].end].decode("utf-8"), _target(head), input_format, payload[data_start:])


def _target(tokens: list[Token], verb: str = "INSERT") -> tuple[str, str]:
    """The table behind INSERT INTO or DELETE FROM: its database, or "", and its name."""
    joint = {"INSERT": "INTO", "DELETE": "FROM"}[verb]
    names = [token for token in tokens[2:6] if token.word != "TABLE"]
    dotted = len(names) > 2 and names[1].kind == "Dot"
    table = [token for token in (names[:3:2] if dotted else names[:1]) if token.is_name and "\\" not in token.text]
    if len(tokens) < 3 or tokens[1].word != joint or len(table) != 1 + dotted:
        raise SqlError(SYNTAX_ERROR, f"{verb} needs {joint} and the name of a table")
    *database, name = [token.text.strip('`"“”') for token in table]
    return (database[0] if database else "", name)


def _fills_itself(tokens: list[Token]) -> bool:
    """Whether an INSERT takes its rows from a SELECT: it then has no data behind it."""
    depth = 0
    for token in tokens[2:]:
        depth += {"OpeningRoundBracket": 1, "ClosingRoundBracket": -1}.get(token.kind, 0)
        if depth == 0 and token.word in ("SELECT", "WITH", "VALUES", "FORMAT", "FROM", "FUNCTION", "SETTINGS"):
            return token.word in ("SELECT", "WITH")
    return False


def _settings_named(tokens: list[Token]) -> frozenset[str]:
    """What stands before an equals sign behind any SETTINGS."""
    first = next((place for place, token in enumerate(tokens) if token.word == "SETTINGS"), len(tokens))
    pairs = zip(tokens[first:], tokens[first + 1 :], strict=False)
    return frozenset(token.text for token, following in pairs if token.is_name and following.kind == "Equals")


def _data_start(payload: bytes, end: int) -> int:
    """Data begins behind the line break after the format's name; it may itself begin with a blank byte."""
    while end < len(payload) and payload[end : end + 1] in (b" ", b"\t", b"\r"):
        end += 1
    return end + 1 if payload[end : end + 1] == b"\n" else end


def _tokens(head: bytes, tokenize: Tokenize) -> list[Token]:
    """The tokens that mean something.

    The data behind an INSERT is no text; replacing what does not decode moves no place before it.
    """
    text = head.replace(b"\0", b" ").decode("utf-8", "replace")
    raw = text.encode("utf-8")
    return [
        Token(kind, raw[begin:end].decode("utf-8", "replace"), end)
        for begin, end, kind in tokenize(text)
        if kind not in ("Whitespace", "Comment")
    ]
