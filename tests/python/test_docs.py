"""The Python of the README and of every page in docs/ runs, and what it shows and asserts is so."""

import doctest
import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import normfast as nf
from normfast import cuda, nn, onnx

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [p for p in PAGES if BLOCK.search(p.read_text())], ids=name)
def test_the_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page in turn, as one program: plain ones, and sessions with ``>>>``."""
    text = page.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    code = "".join(block[1] for block in blocks)
    for package in sorted(set(re.findall(r"^(?:>>> )?(?:import|from) (\w+)", code, re.MULTILINE))):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        if ">>> " in block[1]:
            session = doctest.DocTestParser().get_doctest(
                block[1], namespace, name(page), str(page), line
            )
            session.globs = namespace  # of which it has a copy
            report: list[str] = []
            doctest.DocTestRunner().run(session, out=report.append, clear_globs=False)
            assert not report, "".join(report)
        else:  # below as many empty lines as are above it, so that a traceback has the page's lines
            exec(compile("\n" * line + block[1], str(page), "exec"), namespace)


@pytest.mark.parametrize("module", [nf, nn, onnx, cuda], ids=lambda m: m.__name__)
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    title = module.__name__.removeprefix("normfast.")
    page = (ROOT / "docs" / "reference" / f"{title}.rst").read_text(encoding="utf-8")
    shown = re.findall(r"^\.\. auto(?:function|class):: (\w+)$", page, re.MULTILINE)
    assert sorted([*shown, "__version__"]) == sorted({*module.__all__, "__version__"})


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)#\s]+)", prose)
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (page.parent / link).exists()]
