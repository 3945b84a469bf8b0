"""The README's Python runs, from top to bottom, and what it asserts is so."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_code_runs():
    text = README.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    assert blocks
    namespace: dict[str, object] = {}
    for block in blocks:
        # As many empty lines as stand above the block, so that a traceback shows README's lines.
        above = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(above + block[1], str(README), "exec"), namespace)


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", README.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert local
    assert not [link for link in local if not (README.parent / link).exists()]
