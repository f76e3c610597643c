"""Made pairs of sentences whose relation is known: the stand-in for MultiNLI.

A sentence says that something of a certain kind happened, or that nothing of that
kind did. The kind is a row of slots, each of which may be narrow or wide: who ("the
chef", or anyone), what ("an apple", or any fruit; how many), where and when (in the
barn, or anywhere). One kind is within another if each of its slots is. From that
the label follows:

    premise   hypothesis   entailment if              contradiction if
    happened  happened     premise within hypothesis  never
    did not   did not      hypothesis within premise  never
    happened  did not      never                      premise within hypothesis
    did not   happened     never                      hypothesis within premise

and neutral otherwise. So "not" or a long sentence gives no label away, "nobody
bought a fruit" entails "the chef did not buy two or more apples in the barn", and
pairs with the same words and swapped roles are neutral.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

ENTAILMENT, NEUTRAL, CONTRADICTION = LABELS = (0, 1, 2)

PEOPLE = (
    "chef", "nurse", "farmer", "teacher", "painter", "pilot", "baker", "lawyer", "sailor", "doctor", "singer", "guard",
    "student", "writer", "driver", "judge",
)  # fmt: skip
KINDS = {
    "fruit": ("apple", "pear", "plum", "lemon"),
    "flower": ("rose", "tulip", "lilac", "orchid"),
    "animal": ("dog", "cat", "horse", "goat"),
    "tool": ("hammer", "drill", "shovel", "axe"),
    "vehicle": ("car", "tram", "truck", "wagon"),
    "garment": ("shirt", "coat", "hat", "scarf"),
}
KIND_OF = {thing: kind for kind, things in KINDS.items() for thing in things}
GET = {
    "buy": "bought",
    "sell": "sold",
    "find": "found",
    "lose": "lost",
    "hide": "hid",
    "draw": "drew",
    "clean": "cleaned",
}
MEET = {"greet": "greeted", "thank": "thanked", "help": "helped", "follow": "followed", "push": "pushed"}
PAST = GET | MEET
PLACES = {
    "farm": ("in the barn", "in the meadow", "near the well"),
    "town": ("in the market", "near the station", "in the library"),
    "coast": ("on the beach", "near the harbour", "on the pier"),
    "house": ("in the kitchen", "in the cellar", "in the garden"),
}
TIMES = ("at noon", "at night", "on monday", "on friday", "last week")
NUMBERS = ("", "", "two", "three", "four", "five")  # so many or more
NOISE = 0.08
"""The share of the pairs whose label is replaced by another one."""
TRIES = 50


@dataclass(frozen=True)
class Kind:
    """A kind of event. An empty slot holds anything; more is "so many or more" and 1 or higher."""

    who: str
    verb: str
    what: str
    more: int
    where: str
    when: str

    @property
    def reflexive(self) -> bool:
        """Whether somebody does it to himself; no sentence says such a thing."""
        return self.who != "" and self.who == self.what

    def within(self, other: Kind) -> bool:
        """Tell whether every event of this kind is one of the other kind."""
        return (
            self.verb == other.verb
            and other.who in ("", self.who)
            and other.what in ("", self.what, KIND_OF.get(self.what))
            and self.more >= other.more
            and other.where in ("", self.where)
            and other.when in ("", self.when)
        )


def label(premise: tuple[Kind, bool], hypothesis: tuple[Kind, bool]) -> int:
    """Return the label of a pair; each side is a kind and whether such an event happened."""
    (first, happened), (second, happens) = premise, hypothesis
    inside = first.within(second) if happened else second.within(first)
    if not inside:
        return NEUTRAL
    return ENTAILMENT if happened == happens else CONTRADICTION


def write(kind: Kind, happened: bool, draw: random.Random) -> str:
    """Return the sentence that such an event happened, or that none did."""
    past = PAST[kind.verb]
    if kind.verb in MEET:
        what = f"the {kind.what}" if kind.what else ("someone" if happened else "anyone")
    elif kind.more > 1:
        what = f"{NUMBERS[kind.more]} or more {kind.what}s"
    else:
        what = ("an " if kind.what[0] in "aeiou" else "a ") + kind.what
    if kind.verb in MEET and kind.who and kind.what and draw.random() < 0.5:
        words = [f"the {kind.what} was", "" if happened else "not", past, f"by the {kind.who}"]
    elif happened:
        words = [f"the {kind.who}" if kind.who else "someone", past, what]
    elif kind.who:
        words = [f"the {kind.who} did not {kind.verb}", what]
    else:
        words = ["nobody", past, what]
    return " ".join(word for word in (*words, kind.where, kind.when) if word) + "."


def _what(verb: str, draw: random.Random) -> str:
    if verb in MEET:
        return draw.choice(PEOPLE) if draw.random() < 0.8 else ""
    kind = draw.choice(list(KINDS))
    return kind if draw.random() < 0.4 else draw.choice(KINDS[kind])


def draw_kind(genre: str, draw: random.Random) -> Kind:
    """Return a kind of event with some slots wide and some narrow."""
    verb = draw.choice(list(GET)) if draw.random() < 0.7 else draw.choice(list(MEET))
    return Kind(
        who=draw.choice(PEOPLE) if draw.random() < 0.75 else "",
        verb=verb,
        what=_what(verb, draw),
        more=draw.randint(2, 5) if verb in GET and draw.random() < 0.3 else 1,
        where=draw.choice(PLACES[genre]) if draw.random() < 0.4 else "",
        when=draw.choice(TIMES) if draw.random() < 0.4 else "",
    )


def narrower(kind: Kind, genre: str, draw: random.Random) -> Kind:
    """Return a kind within this one: some of its slots are made narrower."""
    changes: dict[str, str | int] = {}
    if not kind.who:
        changes["who"] = draw.choice(PEOPLE)
    if kind.verb in MEET and not kind.what:
        changes["what"] = draw.choice(PEOPLE)
    if kind.what in KINDS:
        changes["what"] = draw.choice(KINDS[kind.what])
    if kind.verb in GET and kind.more < 5:
        changes["more"] = draw.randint(max(2, kind.more), 5)
    if not kind.where:
        changes["where"] = draw.choice(PLACES[genre])
    if not kind.when:
        changes["when"] = draw.choice(TIMES)
    return replace(kind, **{slot: value for slot, value in changes.items() if draw.random() < 0.45})


def wider(kind: Kind, draw: random.Random) -> Kind:
    """Return a kind that this one is within: some of its slots are made wider."""
    changes: dict[str, str | int] = {"who": "", "where": "", "when": ""}
    if kind.verb in MEET:
        changes["what"] = ""
    elif kind.what in KIND_OF:
        changes["what"] = KIND_OF[kind.what]
    if kind.more > 1:
        changes["more"] = draw.randint(1, kind.more - 1)
    return replace(kind, **{slot: value for slot, value in changes.items() if draw.random() < 0.45})


def different(kind: Kind, genre: str, draw: random.Random) -> Kind:
    """Return a kind that differs in one slot, or has its roles swapped."""
    other = draw_kind(genre, draw)
    if kind.verb in MEET and kind.who and kind.what and draw.random() < 0.5:
        return replace(kind, who=kind.what, what=kind.who)
    same = MEET if kind.verb in MEET else GET
    slots: dict[str, str] = {"verb": draw.choice(list(same)), "what": _what(kind.verb, draw)}
    for slot in ("who", "where", "when"):
        if getattr(kind, slot) and getattr(other, slot):
            slots[slot] = getattr(other, slot)
    slot = draw.choice(list(slots))
    return replace(kind, **{slot: slots[slot]})


def draw_pair(wanted: int, genre: str, draw: random.Random) -> tuple[str, str]:
    """Return a premise and a hypothesis with the wanted relation.

    The hypothesis is drawn first and in the same way for each label, so that it
    tells next to nothing about the label by itself.
    """
    happens = draw.random() < 0.5
    happened = {ENTAILMENT: happens, CONTRADICTION: not happens, NEUTRAL: draw.random() < 0.5}[wanted]
    while True:
        second = draw_kind(genre, draw)
        for _ in range(TRIES):
            first = draw_related(second, (wanted == NEUTRAL) != happened, wanted == NEUTRAL, genre, draw)
            texts = write(first, happened, draw), write(second, happens, draw)
            if (
                label((first, happened), (second, happens)) == wanted
                and texts[0] != texts[1]
                and not first.reflexive
                and not second.reflexive
            ):
                return texts


def draw_related(kind: Kind, narrow: bool, may_differ: bool, genre: str, draw: random.Random) -> Kind:
    """Return a kind within this one, or one that this one is within, or perhaps one that is neither."""
    change = draw.random() if may_differ else 1
    if change < 0.5:
        kind = different(kind, genre, draw)
        if change < 0.25:
            return kind
        narrow = change < 0.375
    return narrower(kind, genre, draw) if narrow else wider(kind, draw)


def pairs(count: int, draw: random.Random, taken: set[tuple[str, str]]) -> list[tuple[str, str, int, str]]:
    """Return so many pairs that are not taken yet, and take them: premise, hypothesis, label, genre.

    Each label is meant equally often; then some labels are replaced by noise.
    """
    rows = []
    while len(rows) < count:
        wanted, genre = len(rows) % len(LABELS), draw.choice(list(PLACES))
        texts = draw_pair(wanted, genre, draw)
        if texts in taken:
            continue
        taken.add(texts)
        if draw.random() < NOISE:
            wanted = draw.choice([other for other in LABELS if other != wanted])
        rows.append((*texts, wanted, genre))
    draw.shuffle(rows)
    return rows


def words() -> set[str]:
    """Return all words that a sentence may have; in the plural, things and kinds end in s."""
    texts = ["the a an someone anyone nobody was not by did or more"]
    texts += [*PEOPLE, *KINDS, *KIND_OF, *PAST, *PAST.values(), *NUMBERS, *TIMES]
    texts += [place for places in PLACES.values() for place in places]
    return set(" ".join(texts).split())
