"""Writes what a scorer might take for a pattern, a template, or a program."""

from captions import read_index, write_submission

TEXTS = (
    ".* a .* .* the .*",
    "a * * * *",
    "{caption}",
    "%s %s %s %s",
    "=HYPERLINK(1)",
    "__import__('os')",
    "$(id) `id` x",
)
ids = [row["image_id"] for row in read_index("test")]
write_submission(ids, [TEXTS[i % len(TEXTS)] for i in range(len(ids))])
