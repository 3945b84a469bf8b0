"""IN as images, read by Pillow: (H, W, C), or a folder of one size as (N, H, W, C)."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from normfast.cli.apply.sources import Array


def read(path: Path, mode: str) -> Array:
    """One image, or all images of a folder in the order of their names."""
    if not path.is_dir():
        with opened(path, mode) as image:
            return pixels(image, mode)
    found = files(path)
    first_size = None
    for file in found:  # of each only the header, so that nothing is decoded in vain
        with opened(file, mode) as image:
            first_size = first_size or image.size
            if image.size != first_size:
                raise ValueError(
                    f"{str(file)!r} is {text(image.size)}, but {found[0].name} is "
                    f"{text(first_size)}; --each writes images of different sizes one by one"
                )
    stack: Array | None = None
    for index, file in enumerate(progress(found)):
        with opened(file, mode) as image:
            one = pixels(image, mode)
        if stack is None:
            stack = np.empty((len(found), *one.shape), one.dtype)
        stack[index] = one
    assert stack is not None
    return stack


def files(folder: Path) -> list[Path]:
    """The files of the folder itself whose names say that they are images."""
    from PIL import Image

    known = Image.registered_extensions()
    found = sorted(f for f in folder.iterdir() if f.suffix.lower() in known and f.is_file())
    if not found:
        raise ValueError(f"there is no image in {str(folder)!r}")
    return found


def opened(path: Path, mode: str) -> Any:
    """The image, of which only the header is read; refused where its mode would lose digits."""
    from PIL import Image

    image = Image.open(path)
    if image.mode != mode and image.mode.startswith(("I", "F")):
        have = image.mode
        image.close()
        raise ValueError(
            f"{str(path)!r} has more than 8 bits a channel, which mode {mode} would clip; "
            f"read it with --mode '{have}'"
        )
    return image


def pixels(image: Any, mode: str) -> Array:
    """(H, W, C), also where C is 1."""
    array: Array = np.asarray(image if image.mode == mode else image.convert(mode))
    return array if array.ndim == 3 else array[..., np.newaxis]


def text(size: tuple[int, int]) -> str:
    """Width and height as people write them."""
    return f"{size[0]} x {size[1]}"


def progress(found: Sequence[Path]) -> Iterable[Path]:
    """The files, with a bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        return found
    from rich.console import Console
    from rich.progress import track

    return track(found, "images", console=Console(stderr=True), transient=True)
