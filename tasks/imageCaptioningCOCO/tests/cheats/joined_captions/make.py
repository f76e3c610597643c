"""Offers several captions in one cell, with separators that a scorer might split at."""

from captions import read_index, write_submission

OFFERS = (
    "a large red circle",
    "a small blue square on black",
    "two shapes , a green triangle and a yellow cross",
    "a picture of a purple square",
)
SEPARATORS = (" | ", " ; ", " ||| ", " . ", " </s> ", "\\n")
ids = [row["image_id"] for row in read_index("test")]
write_submission(ids, [SEPARATORS[i % len(SEPARATORS)].join(OFFERS) for i in range(len(ids))])
