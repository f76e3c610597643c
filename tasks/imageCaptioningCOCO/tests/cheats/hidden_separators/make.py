"""Uses characters that some tokenisers take for line breaks, and some that nobody sees."""

from captions import read_index, write_submission

SIGNS = ("\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e", "\u200b", "\u202e", "\x1b[2K", "\x7f", "\ufeff")
ids = [row["image_id"] for row in read_index("test")]
write_submission(ids, [f"a red circle{SIGNS[i % len(SIGNS)]}a blue square on black" for i in range(len(ids))])
