import subprocess
import sys

import pytest

from builders import make_run

HEAVY = ("torch", "transformers", "matplotlib", "plotly", "soundfile", "scipy", "polars")


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, isogloss; print([m for m in sys.argv[1:] if m in sys.modules])"
    assert python(code, *HEAVY, "numpy", "pydantic").strip() == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"], ["run", "--help"]])
def test_help_and_listings_need_no_torch(arguments):
    code = (
        "import sys\n"
        "from isogloss.cli import call\n"
        "code = call(sys.argv[1:])\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'torch was imported'\n"
        "sys.exit(code)"
    )
    assert python(code, *arguments)


def test_root_help_imports_no_numerics():
    code = (
        "import sys\n"
        "from isogloss.cli import call\n"
        "call(['--help'])\n"
        f"print([m for m in {HEAVY} + ('numpy',) if m in sys.modules])"
    )
    assert python(code).strip().endswith("[]")


def test_everything_from_the_store_on_works_where_torch_cannot_be_imported(tmp_path):
    made = make_run(tmp_path / "out")
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'transformers', 'soundfile', 'soxr', 'espeakng_loader'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from isogloss import api\n"
        "api.analyse(sys.argv[1])\n"
        "print(api.write_report(sys.argv[1]))\n"
        "print(list(api.verify(sys.argv[1])), len(api.status(sys.argv[1])))"
    )
    assert python(code, str(made.folder)).splitlines()[-1] == "[] 8"


def test_every_public_name_exists():
    import isogloss

    for name in isogloss.__all__:
        assert getattr(isogloss, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = isogloss.nothing
