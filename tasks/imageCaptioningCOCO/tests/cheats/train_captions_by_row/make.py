"""Predicts by row order: the n-th picture gets a caption of the n-th training picture."""

from captions import read_index, write_submission

ids = [row["image_id"] for row in read_index("test")]
write_submission(ids, [row["captions"][0] for row in read_index("train")][: len(ids)])
