"""Tables on disk: rows that were asked for otherwise are not taken for what is asked now."""

from pathlib import Path

import pytest

from lib.errors import TextureError
from lib.evaluation.rows import ASKED, agreed


def test_a_table_is_asked_one_thing(tmp_path: Path) -> None:
    agreed(tmp_path / "out", {"size": 128, "seed": 0})
    agreed(tmp_path / "out", {"size": 128, "seed": 0})
    with pytest.raises(TextureError, match="out has rows of seed 0, not 1; name another folder"):
        agreed(tmp_path / "out", {"size": 128, "seed": 1})
    (tmp_path / "out" / ASKED).write_text("nothing")
    with pytest.raises(TextureError, match=r"asked\.json is damaged"):
        agreed(tmp_path / "out", {"size": 128, "seed": 0})
