"""Made pictures of coloured shapes with five captions each, in the place of photographs.

A scene is drawn from a seeded generator: one to three shapes in different cells of
a 3 x 3 grid, each with a form, a colour and a size, on a plain background. A caption
is one of several sentence patterns with words that vary; a picture never gets the
same pattern twice. The patterns differ in what they mention, as people do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

SIDE = 48
SCALE = 4  # drawn larger and scaled down, which smooths the edges
CAPTIONS = 5
NOISE = 10.0  # standard deviation, of 255

COLOURS = {
    "red": (215, 45, 45),
    "green": (50, 160, 70),
    "blue": (50, 85, 210),
    "yellow": (235, 210, 60),
    "purple": (140, 60, 165),
    "orange": (240, 140, 40),
}
BACKGROUNDS = {"black": (25, 25, 25), "white": (235, 235, 235), "grey": (130, 130, 130)}
FORMS = ("circle", "square", "triangle", "cross")
RADII = {"small": 4.0, "large": 6.5}
PLACES = (
    ("upper left", "top", "upper right"),
    ("left side", "middle", "right side"),
    ("lower left", "bottom", "lower right"),
)
WORDS = {
    "large": ("large", "large", "big"),
    "small": ("small", "small", "little"),
    "circle": ("circle", "circle", "disc"),
    "middle": ("middle", "centre"),
    "picture": ("picture", "image", "drawing"),
}


@dataclass(frozen=True)
class Shape:
    """One coloured shape in a cell of the grid."""

    form: str
    colour: str
    size: str
    row: int
    column: int


@dataclass(frozen=True)
class Scene:
    """What a picture shows."""

    background: str
    shapes: tuple[Shape, ...]


def draw_scene(numbers: Random) -> Scene:
    """Draw what is to be shown."""
    amount = numbers.choices((1, 2, 3), weights=(4, 4, 2))[0]
    cells = numbers.sample(range(9), amount)
    shapes = (
        Shape(
            numbers.choice(FORMS),
            numbers.choice(tuple(COLOURS)),
            numbers.choice(tuple(RADII)),
            cell // 3,
            cell % 3,
        )
        for cell in cells
    )
    return Scene(numbers.choice(tuple(BACKGROUNDS)), tuple(shapes))


def paint(scene: Scene, numbers: Random) -> Image.Image:
    """Paint a scene, with the shapes a little off the middle of their cells, and noise."""
    canvas = Image.new("RGB", (SIDE * SCALE, SIDE * SCALE), BACKGROUNDS[scene.background])
    pencil = ImageDraw.Draw(canvas)
    cell = SIDE / 3
    for shape in scene.shapes:
        x = (shape.column + 0.5) * cell + numbers.uniform(-1, 1)
        y = (shape.row + 0.5) * cell + numbers.uniform(-1, 1)
        radius = RADII[shape.size] + numbers.uniform(-0.5, 0.5)
        _paint_shape(pencil, shape, x * SCALE, y * SCALE, radius * SCALE)
    small = np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    noise = np.random.default_rng(numbers.getrandbits(64)).normal(0.0, NOISE, small.shape)
    return Image.fromarray(np.clip(np.rint(small + noise), 0, 255).astype(np.uint8))


def _paint_shape(pencil: ImageDraw.ImageDraw, shape: Shape, x: float, y: float, radius: float) -> None:
    fill = COLOURS[shape.colour]
    if shape.form == "circle":
        pencil.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    elif shape.form == "square":
        half = 0.85 * radius
        pencil.rectangle((x - half, y - half, x + half, y + half), fill=fill)
    elif shape.form == "triangle":
        corners = [(x + radius * math.sin(a), y - radius * math.cos(a)) for a in (0, 2 * math.pi / 3, 4 * math.pi / 3)]
        pencil.polygon(corners, fill=fill)
    else:
        arm = 0.32 * radius
        pencil.rectangle((x - radius, y - arm, x + radius, y + arm), fill=fill)
        pencil.rectangle((x - arm, y - radius, x + arm, y + radius), fill=fill)


def describe(scene: Scene, numbers: Random) -> list[str]:
    """Return five captions of a scene, each of another pattern."""
    patterns = (_one, _two, _three)[len(scene.shapes) - 1]
    amount = len(patterns(scene, numbers))
    return [_polish(patterns(scene, numbers)[i]) for i in numbers.sample(range(amount), CAPTIONS)]


def _one(scene: Scene, numbers: Random) -> list[str]:
    (shape,) = scene.shapes
    it, what, back = _name(shape, numbers), _word("picture", numbers), _back(scene, numbers)
    form, size = _word(shape.form, numbers), _word(shape.size, numbers)
    return [
        f"a {it} {_place(shape, numbers)}",
        f"a {what} of a {it} {back}",
        f"there is a {it} {_place(shape, numbers)}",
        f"one {it} and nothing else {back}",
        f"the {shape.colour} {form} is {size} and sits {_place(shape, numbers)}",
        f"a {scene.background} {what} with a {it}",
        f"a {form} that is {shape.colour} {_place(shape, numbers)}",
    ]


def _two(scene: Scene, numbers: Random) -> list[str]:
    first, second = numbers.sample(scene.shapes, 2)
    one, two = _name(first, numbers), _name(second, numbers)
    what, back, between = _word("picture", numbers), _back(scene, numbers), _relation(first, second, numbers)
    return [
        f"a {one} {between} a {two}",
        f"a {one} and a {two} {back}",
        f"a {one} {_place(first, numbers)} and a {two} {_place(second, numbers)}",
        f"two shapes , a {one} and a {two}",
        f"a {what} of a {one} {between} a {two}",
        f"the {one} is {between} the {two}",
        f"there is a {one} with a {two} {_relation(second, first, numbers)} it",
    ]


def _three(scene: Scene, numbers: Random) -> list[str]:
    first, second, third = numbers.sample(scene.shapes, 3)
    one, two, three = (_name(shape, numbers) for shape in (first, second, third))
    what, back, between = _word("picture", numbers), _back(scene, numbers), _relation(first, second, numbers)
    return [
        f"a {one} , a {two} and a {three}",
        f"three shapes {back} with a {one} {_place(first, numbers)}",
        f"a {one} among three shapes",
        f"a {one} {between} a {two} , and a {three}",
        f"a {scene.background} {what} of a {one} with a {two} and a {three}",
        f"a {one} {_place(first, numbers)} next to two other shapes",
        f"a {one} {between} a {two} beside a {three}",
    ]


def _name(shape: Shape, numbers: Random) -> str:
    """Name a shape; two in three times with its size."""
    size = f"{_word(shape.size, numbers)} " if numbers.random() < 2 / 3 else ""
    return f"{size}{shape.colour} {_word(shape.form, numbers)}"


def _place(shape: Shape, numbers: Random) -> str:
    return f"{numbers.choice(('at', 'in', 'near'))} the {_word(PLACES[shape.row][shape.column], numbers)}"


def _back(scene: Scene, numbers: Random) -> str:
    return numbers.choice(("on {}", "on a {} background", "against {}")).format(scene.background)


def _relation(first: Shape, second: Shape, numbers: Random) -> str:
    relations = []
    if first.column != second.column:
        side = "left" if first.column < second.column else "right"
        relations.append(numbers.choice((f"to the {side} of", f"{side} of", f"on the {side} of")))
    if first.row != second.row:
        relations.append(numbers.choice(("above", "over") if first.row < second.row else ("below", "under")))
    return numbers.choice(relations)


def _word(word: str, numbers: Random) -> str:
    return numbers.choice(WORDS.get(word, (word,)))


def _polish(caption: str) -> str:
    return caption.replace("a orange", "an orange").replace("a image", "an image")
