"""Grades captions: only text is handed in, and nothing of the submission runs."""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlgym_grader import Invalid, Result, Session, bleu
from mlgym_grader.table import by_id

FILE = "submission.csv"
COLUMNS = ("image_id", "caption")
MAX_WORDS = 60
MAX_CHARACTERS = 400
RARE = 5  # words with fewer occurrences in the training captions do not count in BLEU Score
GROUPS = 50  # of the jackknife


@dataclass(frozen=True)
class Answer:
    """The captions that people gave a picture, and which one the character BLEU takes."""

    captions: tuple[str, ...]
    reference: int


def grade(session: Session) -> Result:
    """Score the rows of this grading; all rows that have to be there are checked."""
    validation = read_answers(session.data / "validation_captions" / "captions.jsonl")
    test = read_answers(session.data / "test_captions" / "captions.jsonl")
    if session.mode == "published":
        captions = by_id(session.submission / FILE, COLUMNS, test, optional=validation)
    else:
        captions = by_id(session.submission / FILE, COLUMNS, test.keys() | validation.keys())
    for image, caption in captions.items():
        check(caption, f"{FILE}, image_id {image}")
    scored = validation if session.kind == "validate" and session.mode == "hardened" else test
    return score(captions, scored, vocabulary(session.data / "train" / "index.jsonl"))


def read_answers(path: Path) -> dict[str, Answer]:
    """Return the hidden captions of a split by the id of the picture."""
    answers = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            answers[row["image_id"]] = Answer(tuple(row["captions"]), row["reference"])
    return answers


def vocabulary(path: Path) -> set[str]:
    """Return the words and marks that are not rare in the training captions."""
    counts: Counter[str] = Counter()
    with path.open(encoding="utf-8") as file:
        for line in file:
            for caption in json.loads(line)["captions"]:
                counts.update(bleu.tokens(caption))
    return {token for token, times in counts.items() if times >= RARE}


def check(caption: str, where: str) -> None:
    """Raise Invalid unless the caption is one line of plain text of a sensible length."""
    if len(caption) > MAX_CHARACTERS:
        raise Invalid(f"{where}: the caption has {len(caption)} characters, at most {MAX_CHARACTERS} are allowed.")
    for character in caption:
        category = unicodedata.category(character)
        if category[0] == "C" or category in ("Zl", "Zp"):
            raise Invalid(
                f"{where}: the caption has the character U+{ord(character):04X}; control and format characters "
                "and line breaks are not allowed."
            )
    count = len(bleu.words(caption))
    if not 1 <= count <= MAX_WORDS:
        raise Invalid(f"{where}: the caption has {count} words, from 1 to {MAX_WORDS} are allowed.")


def score(captions: Mapping[str, str], answers: Mapping[str, Answer], known: set[str]) -> Result:
    """Score the captions of the pictures that have answers."""
    counts: list[bleu.Counts] = []
    characters: list[float] = []
    for image, answer in answers.items():
        caption = captions[image]
        counts.append(bleu.count(bleu.words(caption), [bleu.words(reference) for reference in answer.captions]))
        reference = plain(answer.captions[answer.reference], known)
        characters.append(bleu.sentence_bleu(plain(caption, known), [reference]))
    whole, number = bleu.add_up(counts), len(counts)
    details = {
        "bleu4_corpus_standard_error": jackknife(counts, whole),
        "BLEU Score_standard_error": standard_error(characters),
        "bleu4_sentence": math.fsum(count.bleu() for count in counts) / number,
        "bleu1_corpus": whole.bleu(1),
        "bleu2_corpus": whole.bleu(2),
        "bleu3_corpus": whole.bleu(3),
        "brevity_penalty": whole.penalty(),
        "words_per_caption": whole.hypothesis / number,
        "different_captions": len({captions[image] for image in answers}),
        "images": number,
    }
    return Result({"bleu4_corpus": whole.bleu(), "BLEU Score": math.fsum(characters) / number}, details)


def plain(caption: str, known: set[str]) -> str:
    """Return a caption as the published number compares it.

    Small letters, one space between words and marks, and without those that are
    rare in the training captions, which the original's vocabulary does not have.
    """
    return " ".join(token for token in bleu.tokens(caption) if token in known)


def jackknife(counts: Sequence[bleu.Counts], whole: bleu.Counts) -> float:
    """Return the standard error of corpus BLEU-4, from leaving out one group after the other.

    The delete-a-group jackknife: with g groups, the square of the error is
    (g - 1)/g times the sum of the squared deviations of the g values from their mean.
    """
    groups = min(GROUPS, len(counts))
    values = [(whole - bleu.add_up(counts[start::groups])).bleu() for start in range(groups)]
    mean = math.fsum(values) / groups
    return math.sqrt((groups - 1) / groups * math.fsum((value - mean) ** 2 for value in values))


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of a mean."""
    number = len(values)
    mean = math.fsum(values) / number
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / max(1, number - 1) / number)
