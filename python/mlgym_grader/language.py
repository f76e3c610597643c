"""Language models: the loss of a program that is not trusted.

The submitted model runs in a player's sandbox under the harness ``language`` and
answers with log-probabilities. Two processes of it are asked, one after the other.

**The claims.** The first process is given all windows of the hidden text, each
with its successors, and answers the log-probability of every successor: 10 million
numbers, where all distributions would be half a trillion. It has seen what it is
to foretell, so these are claims and no more. The windows come in a secret order.
Mixed among them are windows that come twice and windows whose end is replaced by
other text. A model that keeps state between batches, mixes the rows of a batch,
is random or looks ahead answers them differently, and is told so.

**The audit.** Only when all claims are in are positions drawn. A second process, in
a fresh sandbox, is given the tokens up to such a position and behind them other
text, and answers the distribution over the whole vocabulary there. It cannot know
the successor. The distribution has to be one (finite, not above 1, sum 1), and
what it gives to the true successor has to be what was claimed, within a tolerance
for rounding. No successor is shown before its position was answered: of two
positions in one window the earlier one is asked first, in another batch.

**The score** is mean(-claim) + mean(claim - audited) over the positions that were
drawn uniformly, the difference estimator. For an honest model the second mean is
rounding. For any other one the score is, in expectation, the loss of the audited
distributions, so bending claims within the tolerance gains nothing; what goes
beyond it at a single audited position makes the submission invalid.

**What a lie can gain.** A program may lie at a share f of the positions and hope
that they are not audited. Half of the k audited positions are drawn uniformly and
find a lie with probability 1 - (1 - f)^(k/2). The other half is drawn in proportion
to how far a claim is ahead of the frequency of its token in the text, a mean advance
a of 1 to 4 nats: a lie that betters the mean by g nats has to be ahead, and is drawn
with probability about g/a each time. Together

    P(not found) = (1 - f)^(k/2) (1 - g/a)^(k/2), about exp(-(f + g/a) k/2).

With k = 4096 and a = 3, a gain of 0.01 nats is kept in one grading of a thousand and
one of 0.001 in every second one; the expected gain g P is never above 2a/(e k), here
0.0005 nats. Where an honest claim is far behind the frequency, a lie can lift it to
that and only the first half would find it; a sensible model has few such places.
What is drawn depends on the claims, whose digest enters the label of the random
numbers: trying again with other lies never tells which positions are safe.

What the audit cannot see, and need not: a model that carries text it was trained
on or knows by heart. That is knowledge, and its distributions are real ones.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlgym_grader.session import Player, Result, Session
from mlgym_grader.stream import Stream

PROGRAM = {"file": "model.py", "function": "build", "config": "config.json", "weights": "model.safetensors"}
HEADER_BYTES = 1024
MAGIC, VERSION = 20240520, 1
MAX_LOG = 1e-4  # rounding may lift the logarithm of 1 so far
MAX_SUM_ERROR = 1e-3

Tokens = npt.NDArray[np.uint16]
Numbers = npt.NDArray[np.float64]
Position = tuple[int, int]  # window, and place in it


def score(session: Session) -> Result:
    """Return val_loss of the submitted model, in nats per token.

    Of the session's data the splits train, validation and test are used, and of
    its parameters: rows (of a batch), audits (by kind of grading), repeats,
    splices, tolerance (at one position), tolerance_rms (over all audited ones).
    """
    wanted = session.parameters
    split = "test" if session.kind == "submit" or session.mode == "published" else "validation"
    meta = json.loads((session.data / split / "meta.json").read_text(encoding="utf-8"))
    window, vocabulary = meta["window"], meta["vocab_size"]
    hidden = np.concatenate([read_shard(path) for path in sorted((session.data / split).glob("*.bin"))])
    windows = cut(hidden, window)
    other = OtherText(session.data / "train", session.stream("other text"))
    program = {"op": "load", **PROGRAM, "rows": wanted["rows"], "window": window, "vocabulary": vocabulary}

    # Both interpreters load torch at once; the audit's sees the program later.
    claimant, auditee = session.start("claims", harness="language"), session.start("audit", harness="language")
    loaded = claimant.prepare(program).get("parameters")
    claims = ask_claims(claimant, windows, other, wanted, session.stream("order of the windows"))
    claimant.stop()

    stream = session.stream("audit of " + hashlib.sha256(claims.tobytes()).hexdigest())
    count = min(wanted["audits"][session.kind], claims.size) // 2
    uniform = draw_uniformly(claims.shape, count, stream)
    paying = draw_in_proportion(advance(claims, windows, vocabulary), count, stream)
    auditee.prepare(program)
    audited = ask_audit(auditee, windows, sorted({*uniform, *paying}), other, wanted["rows"], vocabulary)
    auditee.stop()

    differences = {position: value - float(claims[position]) for position, value in audited.items()}
    worst = max(abs(difference) for difference in differences.values())
    rms = math.sqrt(math.fsum(d * d for d in differences.values()) / len(differences))
    if worst > wanted["tolerance"] or rms > wanted["tolerance_rms"]:
        auditee.fail(
            "claimed log-probabilities of tokens that it had been shown, which are not those of the distributions "
            "that it gives when it has seen the tokens before only"
        )
    correction = math.fsum(differences[position] for position in uniform) / len(uniform)
    losses = -claims.mean(axis=1, dtype=np.float64)
    details = {
        "standard_error": float(losses.std(ddof=1)) / math.sqrt(len(losses)),
        "tokens": claims.size,
        "audited": len(differences),
        "audit_correction": -correction,
        "audit_largest": worst,
        "audit_rms": rms,
    }
    if type(loaded) is int and 0 <= loaded < 1 << 53:
        details["claimed_parameters"] = loaded
    return Result({"val_loss": max(0.0, float(losses.mean()) - correction)}, details)


def read_shard(path: Path) -> Tokens:
    """Return a map of the tokens of a prepared shard."""
    magic, version, count = (int(word) for word in np.fromfile(path, dtype="<i4", count=3))
    if (magic, version) != (MAGIC, VERSION) or path.stat().st_size != HEADER_BYTES + 2 * count:
        raise ValueError(f"{path} is not a shard of tokens")
    return np.memmap(path, dtype="<u2", mode="r", offset=HEADER_BYTES, shape=(count,))


def cut(tokens: Tokens, window: int) -> Tokens:
    """Return the windows that do not overlap; the last token of each is the first of the next."""
    count = (len(tokens) - 1) // window
    return np.stack([tokens[i * window : (i + 1) * window + 1] for i in range(count)])


class OtherText:
    """Text of the training split, to stand where the hidden text must not."""

    def __init__(self, folder: Path, stream: Stream) -> None:
        self._shards = [read_shard(path) for path in sorted(folder.glob("*.bin"))]
        self._stream = stream

    def take(self, length: int) -> Tokens:
        """Return so many tokens from a random place."""
        shard = self._stream.choice(self._shards)
        begin = self._stream.below(len(shard) - length + 1)
        return shard[begin : begin + length]


def ask_claims(
    player: Player, windows: Tokens, other: OtherText, wanted: dict[str, Any], stream: Stream
) -> npt.NDArray[np.float32]:
    """Return the claimed log-probability of every successor in every window."""
    count, width = windows.shape
    rows, window = wanted["rows"], width - 1
    splices = [(stream.below(count), stream.randint(2, window)) for _ in range(wanted["splices"])]
    repeats = [stream.below(count) for _ in range(wanted["repeats"])]
    repeats += [stream.below(count) for _ in range(-(count + len(splices) + len(repeats)) % rows)]
    spliced = [np.concatenate([windows[i][:place], other.take(width - place)]) for i, place in splices]
    asked = np.concatenate([windows, windows[repeats], np.array(spliced, dtype="<u2").reshape(-1, width)])
    answers = np.empty((len(asked), window), dtype=np.float32)
    order = stream.sample(range(len(asked)), len(asked))
    for begin in range(0, len(order), rows):
        batch = order[begin : begin + rows]
        reply = player.ask({"op": "claims", "tokens": encode(asked[batch])})
        answers[batch] = decode(player, reply, (rows, window))
    claims, again, changed = np.split(answers, [count, count + len(repeats)])
    for i, answer in zip(repeats, again, strict=True):
        if np.abs(claims[i] - answer).max() > wanted["tolerance"]:
            player.fail(
                "gave other log-probabilities when the same tokens came again in another batch: the model is random, "
                "or keeps something from one batch to the next, or looks at the other rows of a batch"
            )
    for (i, place), answer in zip(splices, changed, strict=True):
        # The claim at place - 2 is the last one whose successor is the same.
        if np.abs(claims[i] - answer)[: place - 1].max() > wanted["tolerance"]:
            player.fail(
                "gave other log-probabilities when only later tokens had changed: the model is not causal, "
                "it looks ahead"
            )
    return claims


def draw_uniformly(shape: tuple[int, ...], count: int, stream: Stream) -> list[Position]:
    """Return so many different positions, each as likely as any other."""
    windows, width = shape
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[stream.below(windows * width)] = None
    return [divmod(place, width) for place in drawn]


def advance(claims: npt.NDArray[np.float32], windows: Tokens, vocabulary: int) -> Numbers:
    """Return how far each claim is ahead of the frequency of its token, 0 where it is behind."""
    successors = windows[:, 1:]
    counts = np.bincount(successors.ravel(), minlength=vocabulary) + 1.0
    return np.maximum(claims - np.log(counts / counts.sum())[successors], 0.0)


def draw_in_proportion(weights: Numbers, count: int, stream: Stream) -> list[Position]:
    """Return so many positions, each as likely as its weight says; some may be the same."""
    bounds = np.cumsum(weights.ravel())
    if bounds[-1] <= 0.0:
        return draw_uniformly(weights.shape, count, stream)
    places = np.searchsorted(bounds, [stream.random() * bounds[-1] for _ in range(count)], side="right")
    return [divmod(int(place), weights.shape[1]) for place in np.minimum(places, bounds.size - 1)]


def ask_audit(
    player: Player, windows: Tokens, positions: Sequence[Position], other: OtherText, rows: int, vocabulary: int
) -> dict[Position, float]:
    """Return the log-probability of the true successor, from distributions that were answered without it."""
    window = windows.shape[1] - 1
    found: dict[Position, float] = {}
    for level in levels(positions, window):
        for begin in range(0, len(level), rows):
            batch = level[begin : begin + rows]
            prefixes = [windows[i][: place + 1] for i, place in batch]
            asked = [np.concatenate([prefix, other.take(window - len(prefix))]) for prefix in prefixes]
            # Every batch has the same shape; rows that fill it up are not looked at.
            asked += [other.take(window) for _ in range(rows - len(batch))]
            places = [place for _, place in batch] + [window - 1] * (rows - len(batch))
            reply = player.ask({"op": "distributions", "tokens": encode(np.stack(asked)), "positions": places})
            logs = decode(player, reply, (rows, vocabulary + 1)).astype(np.float64)[: len(batch)]
            sums = np.exp(logs).sum(axis=1)
            if np.abs(sums - 1.0).max() > MAX_SUM_ERROR:
                player.fail("answered probabilities of all tokens that do not sum to 1")
            for (i, place), row, total in zip(batch, logs, sums, strict=True):
                found[i, place] = float(row[windows[i][place + 1]] - math.log(total))
    return found


def levels(positions: Sequence[Position], window: int) -> list[list[Position]]:
    """Sort positions into levels, to be asked one after the other.

    What stands behind a position is shown with later positions of its window, and
    behind the last one of a window with any of the next window. So these have to
    be in later levels.
    """
    sorted_: list[list[Position]] = []
    before: Position | None = None
    level = 0
    for position in sorted(positions):
        follows = before is not None and (before[0] == position[0] or before == (position[0] - 1, window - 1))
        level = level + 1 if follows else 0
        if level == len(sorted_):
            sorted_.append([])
        sorted_[level].append(position)
        before = position
    return sorted_


def encode(tokens: Tokens) -> str:
    """Return tokens as the harness reads them."""
    return base64.b64encode(np.ascontiguousarray(tokens, dtype="<u2").tobytes()).decode()


def decode(player: Player, reply: dict[str, Any], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return the log-probabilities of an answer, which all are what such numbers can be."""
    text = reply.get("log_probabilities")
    if type(text) is not str:
        player.fail("did not answer with log-probabilities")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        player.fail("did not answer with log-probabilities in base64")
    if len(data) != 4 * shape[0] * shape[1]:
        player.fail("answered another number of log-probabilities than it was asked for")
    logs = np.frombuffer(data, dtype="<f4").reshape(shape)
    if not np.isfinite(logs).all():
        player.fail("answered log-probabilities that are not finite numbers")
    if logs.max() > MAX_LOG:
        player.fail("answered a probability above 1")
    return np.minimum(logs, 0.0)
