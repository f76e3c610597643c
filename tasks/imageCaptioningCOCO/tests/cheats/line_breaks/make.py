"""Puts line breaks into quoted cells, so that one caption becomes several."""

from captions import read_index, write_submission

ids = [row["image_id"] for row in read_index("test")]
write_submission(ids, ["a red circle\na blue square\na green triangle on black"] * len(ids))
