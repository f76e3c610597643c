"""The command in an answer of a model that writes it as one fenced block.

The rules are those of mlgym's default scaffold, so that a model trained here can
be run there.
"""

import re

_FENCE = re.compile(r"^ {0,3}(`{3,})([^`]*)$")


class NoCommandError(ValueError):
    """The answer holds no command; the text is meant for the model."""


def find_command(answer: str) -> str:
    """Returns the text of the one fenced block of an answer.

    A block begins with a line of at least three back-quotes and perhaps a word, and
    ends with a line of at least as many. What a model thinks, in a leading <think>
    element, is no answer.

    Raises:
        NoCommandError: there is no block, more than one, an open or an empty one.

    """
    text = answer
    if text.lstrip().startswith("<think>"):
        text = text.partition("</think>")[2]
    inside: list[str] = []
    fence, indent, blocks = "", 0, 0
    for line in text.replace("\r\n", "\n").split("\n"):
        found = _FENCE.match(line)
        if not fence:
            if found:
                fence, indent = found[1], len(line) - len(line.lstrip(" "))
                blocks += 1
        elif found and len(found[1]) >= len(fence) and not found[2].strip():
            fence = ""
        elif blocks == 1:
            blanks = len(line) - len(line.lstrip(" "))
            inside.append(line[min(indent, blanks) :])
    if blocks == 0:
        raise NoCommandError("The answer holds no fenced block, so there is no command to run.")
    if fence:
        raise NoCommandError(f"The fenced block is not closed: a line with {fence} is missing.")
    if blocks > 1:
        raise NoCommandError(
            f"The answer holds {blocks} fenced blocks; there must be exactly one. "
            "A command that contains a line of three back-quotes itself must be fenced by four."
        )
    command = "\n".join(inside)
    if not command.strip():
        raise NoCommandError("The fenced block is empty.")
    return command
