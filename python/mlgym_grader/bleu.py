"""BLEU, the agreement of sentences with reference sentences, in 0..1.

The formula is that of K. Papineni, S. Roukos, T. Ward and W.-J. Zhu, "BLEU: a
Method for Automatic Evaluation of Machine Translation", ACL 2002, sections 2.1 to
2.3, with n-grams of 1 to N = 4 and equal weights:

    BLEU = BP * exp(1/N * sum over n of log p_n)
    p_n  = sum of clipped n-gram counts / number of n-grams of the hypotheses
    BP   = 1 if c > r, else exp(1 - r/c)

A count is clipped at the highest count of the n-gram in any one reference of its
sentence (section 2.1.1); c is the length of the hypotheses, r the sum of the
lengths of the references that are nearest to their hypothesis, the shorter one of
two that are as near (section 2.2.2). Over a corpus, counts and lengths are added
up before anything is divided (section 2.1.1), so that corpus BLEU is not a mean of
sentences.

Nothing is smoothed: where some p_n is zero, BLEU is 0. NLTK puts the smallest
positive float in place of a zero count then, which gives numbers below 1e-70.

A sentence is any sequence whose items can be compared: a list of words gives the
usual BLEU, a str gives BLEU over characters, which is what MLGym's baseline for
image captions computed by handing text to NLTK's sentence_bleu.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_ORDER = 4

_TOKEN = re.compile(r"'s\b|[^\W_]+|[^\w\s]|_")

Sentence = Sequence[str]


@dataclass(frozen=True)
class Counts:
    """What BLEU needs to know of a sentence, or of many: counts can be added up."""

    hypothesis: int
    """c, the length of the hypothesis."""
    reference: int
    """r, the length of the nearest reference."""
    matches: tuple[int, ...]
    """Clipped counts of the n-grams, shortest n-grams first."""
    total: tuple[int, ...]
    """Numbers of n-grams of the hypothesis."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.hypothesis + other.hypothesis,
            self.reference + other.reference,
            tuple(a + b for a, b in zip(self.matches, other.matches, strict=True)),
            tuple(a + b for a, b in zip(self.total, other.total, strict=True)),
        )

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.hypothesis - other.hypothesis,
            self.reference - other.reference,
            tuple(a - b for a, b in zip(self.matches, other.matches, strict=True)),
            tuple(a - b for a, b in zip(self.total, other.total, strict=True)),
        )

    def penalty(self) -> float:
        """Return BP, the brevity penalty."""
        if self.hypothesis > self.reference:
            return 1.0
        return math.exp(1 - self.reference / self.hypothesis) if self.hypothesis else 0.0

    def bleu(self, order: int = MAX_ORDER) -> float:
        """Return BLEU with n-grams of 1 to order."""
        if not all(self.matches[:order]):
            return 0.0
        logs = [math.log(m / t) for m, t in zip(self.matches[:order], self.total[:order], strict=True)]
        return self.penalty() * math.exp(math.fsum(logs) / order)


NOTHING = Counts(0, 0, (0,) * MAX_ORDER, (0,) * MAX_ORDER)


def count(hypothesis: Sentence, references: Sequence[Sentence]) -> Counts:
    """Count a hypothesis against its references, of which there is at least one."""
    length = len(hypothesis)
    nearest = min((abs(len(reference) - length), len(reference)) for reference in references)[1]
    matches, total = [], []
    for n in range(1, MAX_ORDER + 1):
        grams = _grams(hypothesis, n)
        allowed: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            allowed |= _grams(reference, n)  # the higher one of both counts
        matches.append((grams & allowed).total())  # the lower one
        total.append(grams.total())
    return Counts(length, nearest, tuple(matches), tuple(total))


def _grams(sentence: Sentence, n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(sentence[i:] for i in range(n)), strict=False))


def add_up(counts: Iterable[Counts]) -> Counts:
    """Return the counts of many sentences together."""
    return sum(counts, NOTHING)


def sentence_bleu(hypothesis: Sentence, references: Sequence[Sentence]) -> float:
    """Return BLEU-4 of one sentence."""
    return count(hypothesis, references).bleu()


def corpus_bleu(hypotheses: Sequence[Sentence], references: Sequence[Sequence[Sentence]]) -> float:
    """Return BLEU-4 of all sentences together; references has a list for each."""
    return add_up(count(h, r) for h, r in zip(hypotheses, references, strict=True)).bleu()


def tokens(text: str) -> list[str]:
    """Return the small-letter words and punctuation marks of a text.

    A word is a run of letters and digits; a possessive 's is a word of its own.
    """
    return _TOKEN.findall(text.lower().replace("\u2019", "'"))


def words(text: str) -> list[str]:
    """Return the small-letter words of a text, without punctuation."""
    return [token for token in tokens(text) if token[-1].isalnum()]
