"""The embedded default data set: characters rendered from fonts that are installed anyway."""

from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from datamodules import glyph_images, glyph_templates
from datamodules.images import ImageDataModule, LabelledImages
from datamodules.kept_tensors import keep_tensors, kept_tensors
from elbolab.cache import cache_folder
from elbolab.checks import check_in
from elbolab.seeding import derive_seed

__all__ = ["GlyphDataModule"]

MOST_IMAGES = 10**7
"""In memory at once: 8 GB."""


class GlyphDataModule(ImageDataModule):
    """Digits like MNIST's that need no download, in batches ``(x, y)``.

    x is ``(B, 1, 28, 28)`` in [0, 1], y ``(B,)`` the index of the character.

    Rendered once in a few seconds and kept in ``~/.cache/elbolab``.

    Args:
        characters: ``digits``, labels 0 … 9; or ``letters``, the out-of-distribution set.
        train_size: Training images, validation included.
        test_size: Test images.
        render_seed: Of the rendering's variation.
        kwargs: Those of `ImageDataModule`: batch sizes, validation split, binarisation, seeds.

    Raises:
        UserError: If a size is out of range.
    """

    def __init__(
        self,
        characters: Literal["digits", "letters"] = "digits",
        train_size: int = 60_000,
        test_size: int = 10_000,
        render_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_in(f"[1, {MOST_IMAGES}]", train_size=train_size, test_size=test_size)
        self.characters = characters
        self.train_size, self.test_size, self.render_seed = train_size, test_size, render_seed

    def prepare_data(self) -> None:
        """Renders what is not in the cache yet."""
        self.load(train=True)
        self.load(train=False)

    def load(self, train: bool) -> LabelledImages:
        """The rendered training or test set, from the cache or rendered now."""
        count, part = (self.train_size, "train") if train else (self.test_size, "test")
        path = self._cached(count, part)
        earlier = kept_tensors(path)
        if isinstance(earlier, tuple):
            images, labels = earlier
            return images, labels
        characters = {"digits": glyph_images.DIGITS, "letters": glyph_images.LETTERS}
        seed = derive_seed(self.render_seed, "glyphs", part)
        rendered = glyph_images.render_glyphs(characters[self.characters], count, seed)
        keep_tensors(path, rendered)
        return rendered

    def _cached(self, count: int, part: str) -> Path:
        # The renderer's source is part of the name, so that no cache outlives its recipe.
        sources = (Path(str(module.__file__)) for module in (glyph_images, glyph_templates))
        source = b"".join(path.read_bytes() for path in sources)
        recipe = blake2b(source, digest_size=6).hexdigest()
        name = f"{self.characters}-{part}-{count}-seed{self.render_seed}-{recipe}.pt"
        return cache_folder() / "glyphs" / name
