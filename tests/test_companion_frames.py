"""The slider shows the frame it stands at."""

import torch

from lib.companion.frames import player, png


def test_moving_the_slider_changes_the_picture() -> None:
    lines = {"a": torch.rand(3, 3, 8, 8), "b": torch.rand(2, 3, 8, 8)}
    choice, place, picture = (box := player(lines)).children
    assert box is not None
    assert picture.value == png(lines["a"][0])
    place.value = 2
    assert picture.value == png(lines["a"][2])
    choice.value = "b"
    assert place.max == 1
    assert picture.value == png(lines["b"][1])
