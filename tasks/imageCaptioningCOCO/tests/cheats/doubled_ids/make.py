"""Gives each picture many captions in many rows, in the hope that the best one counts."""

from captions import read_index, write_submission

ids = [row["image_id"] for row in read_index("test")]
texts = ("a large red circle on black", "a small blue square on white", "a green triangle and a yellow cross")
write_submission([image for image in ids for _ in texts], [text for _ in ids for text in texts])
