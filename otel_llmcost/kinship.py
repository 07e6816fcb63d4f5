"""What a process has seen of the trees of spans: which records are one call, and what ancestors tell of it.

    lines of a message ─┐
                        ├→ Kinship.meet → the lines, completed; rows that hide duplicates; earlier lines, completed
    the other spans  ───┘

Spans come in any order, a child mostly before its parent. A record is settled against every record around it as soon
as both are known. Where the span above is not known yet, the record covers the ids that it may have
(`same_call.outer_ids`), so that the two are one line also where their parents go to another process or come after a
restart. What is remembered is bounded; nothing depends on it but duplicates that only the tree can show
(docs/identity.md) and ids that only ancestors tell.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Final

from otel_llmcost.call import NO_ID, LLMCall
from otel_llmcost.identity import agent_key
from otel_llmcost.lineage import Who
from otel_llmcost.same_call import Facts, outer_ids, trace_ids, with_claims

MAX_DEPTH: Final = 64
"""Ancestors that are looked at; a tree of spans is rarely half as deep."""
MAX_BELOW: Final = 4_096
"""Records below one span that are kept in mind at most."""
MAX_BESIDE: Final = 32
"""Records of one response in a trace that are compared at most."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as the tree knows it.

    `call`: its record, where it has one. `genai`: a span of GenAI, with a record or without. `boundary`: one of an
    agent, a tool or anything else that is no inference: what lies below it is never the same call as what lies above.
    `serves`: a server's span of a request for inference.
    """

    key: bytes  # trace id and span id
    parent: bytes  # trace id and the parent's span id; empty for a root
    call: LLMCall | None = None
    who: Who = field(default_factory=dict)
    genai: bool = False
    boundary: bool = False
    serves: bool = False


class _Node:
    """A span in mind, with its record as it stands now."""

    __slots__ = ("_facts", "awaits", "below", "call", "given_away", "lent", "seen")

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.call = seen.call
        self.given_away = False  # whether somebody else has the record, so that a change makes a new one
        self.awaits = b""  # the first span above that is not known
        self.below: set[bytes] | None = None  # records that were settled with this span
        self.lent: tuple[bytes, ...] = ()  # ids of others that this record is kept under too
        self._facts: Facts | None = None

    @property
    def facts(self) -> Facts:
        if self._facts is None:
            assert self.seen.call is not None
            self._facts = Facts.of(self.seen.call)
        return self._facts

    @property
    def beside(self) -> tuple[bytes, str]:
        """Where records of the same response below the same span are found."""
        return self.seen.parent or b"root" + self.seen.key[:16], self._response_id

    @property
    def in_trace(self) -> tuple[bytes, str]:
        """Where records of the same response in the same trace are found."""
        return self.seen.key[:16], self._response_id

    @property
    def _response_id(self) -> str:
        return self.seen.call.response_id if self.seen.call is not None else ""

    @property
    def is_agent(self) -> bool:
        return self.seen.boundary and self.call is not None


class _Round:
    """What one message changes. `again`: some of its spans came before, so whatever they touch is written again."""

    def __init__(self) -> None:
        self.rows: dict[bytes, _Node] = {}
        self.again = False

    def change(self, node: _Node, **fields: Any) -> None:
        """Set fields of a record, and have it written where that changes it."""
        assert node.call is not None
        if fields:
            if node.given_away:
                node.call = replace(node.call, **fields)
            else:
                for name, value in fields.items():
                    object.__setattr__(node.call, name, value)
        if fields or self.again:
            self.rows[node.seen.key] = node

    def written(self) -> Iterator[LLMCall]:
        """The records, also under ids of others that have no numbers of their own."""
        for node in self.rows.values():
            assert node.call is not None
            node.given_away = True
            yield node.call
            for call_id in node.lent:
                yield replace(node.call, call_id=call_id, duplicate_of=NO_ID, covers=())


class Kinship:
    """The memory of one process. Thread-safe."""

    def __init__(self, max_spans: int, *, names_unseen: bool, counts_agents: bool = False) -> None:
        """`names_unseen`: cover the ids that a span above may have which was not seen. Needless inside an application,
        where every span's parent is known as it starts. `counts_agents`: spans of agents may be lines."""
        self._max_spans = max_spans
        self._names_unseen = names_unseen
        self._counts_agents = counts_agents
        self._nodes: dict[bytes, _Node] = {}  # of GenAI
        self._plain: dict[bytes, _Node] = {}  # all others, which come in any number
        self._awaited: dict[bytes, set[bytes]] = {}  # span that is not known yet → records below it
        self._answers: dict[tuple[bytes, str], list[bytes]] = {}  # by response id, and the parent or the trace
        self._lock = Lock()

    def reset(self) -> None:
        """Forget everything: in a forked child, what the parent has in hand is the parent's."""
        self._lock = Lock()
        self._nodes, self._plain, self._awaited, self._answers = {}, {}, {}, {}

    def meet(self, spans: Sequence[Seen]) -> list[LLMCall]:
        """The rows to write now that these spans are known: their own and earlier ones that have changed."""
        if not spans:
            return []
        with self._lock:
            this = _Round()
            due: dict[bytes, None] = {}
            for seen in spans:
                due.update(self._add(seen, this))
            for key in due:
                if key in self._nodes:
                    self._settle(self._nodes[key], this)
            for kept in (self._nodes, self._plain):
                while len(kept) > self._max_spans:
                    self._drop(next(iter(kept)))
            return list(with_claims(this.written()))

    def forget(self, spans: Iterable[Seen]) -> None:
        """Take spans back whose rows were not stored; what is known of them below waits for them again."""
        with self._lock:
            for seen in spans:
                node = self._drop(seen.key)
                for key in (node.below or ()) if node else ():
                    below = self._nodes.get(key)
                    if below is not None:
                        self._await(below, seen.key)

    def _add(self, seen: Seen, this: _Round) -> dict[bytes, None]:
        """Keep a span in mind; the records that are to be settled now."""
        due: dict[bytes, None] = {} if seen.call is None else {seen.key: None}
        due.update(dict.fromkeys(sorted(self._awaited.get(seen.key, ()))))
        node = _Node(seen)
        known = self._find(seen.key)
        if known is not None:
            this.again = True
            due.update(dict.fromkeys(sorted(known.below or ())))
            node.below = known.below
            if seen.call is None and known.call is not None:
                return due  # the same span from a sender that tells less
            self._drop(seen.key)
        (self._nodes if seen.genai else self._plain)[seen.key] = node
        if seen.call is not None:
            this.rows[seen.key] = node
            if seen.call.response_id:
                for place in (node.beside, node.in_trace):
                    keys = self._answers.setdefault(place, [])
                    if len(keys) < MAX_BESIDE:
                        keys.append(seen.key)
        return due

    def _settle(self, node: _Node, this: _Round) -> None:
        """Compare a record with those around and beside it, and take from above what it does not tell."""
        above = list(self._ancestors(node))
        top = above[-1] if above else node
        self._await(node, top.seen.parent if self._find(top.seen.parent) is None else b"")
        call = node.call
        assert call is not None
        fields: dict[str, Any] = {}
        inside, serving = not node.is_agent, False
        for ancestor in above:
            ancestor.below = ancestor.below or set()
            if len(ancestor.below) < MAX_BELOW:
                ancestor.below.add(node.seen.key)
            inside = inside and not ancestor.seen.boundary
            serving = serving or ancestor.seen.serves
            if ancestor.call is not None and (inside or ancestor.is_agent):
                _relate(ancestor, node, this)
            for name, value in ancestor.seen.who.items():
                if not getattr(call, name):
                    fields.setdefault(name, value)
        self._relate_beside(node, this)
        if serving and not call.at_gateway:
            fields["at_gateway"] = True
        named = (*(trace_ids(call) if serving else ()), *self._unseen_ids(node, inside=inside))
        if named and not set(named) <= set(call.covers):
            fields["covers"] = tuple(dict.fromkeys((*call.covers, *named)))
        this.change(node, **fields)

    def _ancestors(self, node: _Node) -> Iterator[_Node]:
        for _ in range(MAX_DEPTH):
            above = self._find(node.seen.parent)
            if above is None:
                return
            yield above
            node = above

    def _await(self, node: _Node, missing: bytes) -> None:
        self._await_no_more(node)
        if missing:
            waiting = self._awaited.setdefault(missing, set())
            if len(waiting) < MAX_BELOW:
                waiting.add(node.seen.key)
                node.awaits = missing

    def _await_no_more(self, node: _Node) -> None:
        waiting = self._awaited.get(node.awaits)
        if waiting is not None:
            waiting.discard(node.seen.key)
            if not waiting:
                del self._awaited[node.awaits]
        node.awaits = b""

    def _unseen_ids(self, node: _Node, *, inside: bool) -> tuple[bytes, ...]:
        """Ids that the first span above which is not known may have told the same call under.

        `inside`: no agent or tool lies between.
        """
        if not self._names_unseen or not node.awaits:
            return ()
        assert node.call is not None
        span_id = node.awaits[16:]
        agent = (agent_key(node.call.trace_id, span_id),) if self._counts_agents else ()
        return (*outer_ids(node.call, span_id), *agent) if inside else agent

    def _relate_beside(self, node: _Node, this: _Round) -> None:
        """Compare a record with others of the same response: some emitters tell a call after the fact, beside that of
        the SDK; and a gateway's client is told the provider's id."""
        for place, is_same in ((node.beside, _is_told_beside), (node.in_trace, _is_told_elsewhere)):
            for key in self._answers.get(place, ()):
                other = self._nodes.get(key) if key != node.seen.key else None
                if other is not None and is_same(node, other):
                    loser, winner = sorted((node, other), key=_standing)
                    _hide(loser, winner, this)

    def _find(self, key: bytes) -> _Node | None:
        return self._nodes.get(key) or self._plain.get(key)

    def _drop(self, key: bytes) -> _Node | None:
        node = self._nodes.pop(key, None) or self._plain.pop(key, None)
        if node is not None:
            self._await_no_more(node)
            for place in (node.beside, node.in_trace) if node.call is not None else ():
                keys = self._answers.get(place, [])
                if key in keys:
                    keys.remove(key)
                    if not keys:
                        del self._answers[place]
        return node


def _relate(outer: _Node, inner: _Node, this: _Round) -> None:
    if outer.facts.call_id == inner.facts.call_id:
        return
    if outer.is_agent:
        _hide(outer, inner, this)
    elif outer.facts.is_same_call(inner.facts):
        if outer.facts.yields_to(inner.facts):
            _hide(outer, inner, this)
        else:
            _hide(inner, outer, this)


def _hide(loser: _Node, winner: _Node, this: _Round) -> None:
    """Make the loser's id that of no line; its record is kept under the winner's where only it has the numbers."""
    assert loser.call is not None
    call_id = winner.facts.call_id
    if not loser.is_agent and loser.facts.lends_to(winner.facts) and call_id not in loser.lent:
        loser.lent = (*loser.lent, call_id)
        this.change(loser, duplicate_of=loser.call.duplicate_of or call_id)
    elif not loser.call.duplicate_of:
        this.change(loser, duplicate_of=call_id)
    else:
        this.change(loser)


def _standing(node: _Node) -> tuple[int, bytes]:
    return node.facts.level, node.facts.call_id


def _is_told_beside(one: _Node, two: _Node) -> bool:
    """The same response and usage, told by two instrumentations at the same time."""
    first, second = one.seen.call, two.seen.call
    return (
        first is not None
        and second is not None
        and first.emitter != second.emitter
        and first.start_ns <= second.end_ns
        and second.start_ns <= first.end_ns
        and one.facts.is_measured
        and one.facts.signature == two.facts.signature
        and one.facts.call_id != two.facts.call_id
        and not (one.facts.cached or two.facts.cached)
    )


def _is_told_elsewhere(one: _Node, two: _Node) -> bool:
    """The same random response id, known in the world to one and in the trace to the other."""
    return {one.facts.level, two.facts.level} == {1, 3}
