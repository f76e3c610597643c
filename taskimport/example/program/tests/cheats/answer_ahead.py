"""Sends answers that nobody has asked for, to get out of step."""

import json
import os

ANSWER = json.dumps({"moves": [0] * 100}).encode()


def row_strategy(history):
    for _ in range(20):
        os.write(3, len(ANSWER).to_bytes(4, "big") + ANSWER)
    return 0
