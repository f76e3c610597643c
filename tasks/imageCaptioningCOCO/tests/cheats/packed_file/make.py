"""Hands in an archive that becomes a gigabyte when it is unpacked."""

import gzip

with open("submission.csv", "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9) as packed:
    for _ in range(64):
        packed.write(b"a red circle on a black background\n" * 30000)
