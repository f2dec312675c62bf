import os
import sys
from pathlib import Path

import pytest

# Two BLAS threads that wait for each other are slower than one.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep synthesised speech and the tiny checkpoint out of the user's cache."""
    if "ISOGLOSS_CACHE" not in os.environ:
        os.environ["ISOGLOSS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    return Path(os.environ["ISOGLOSS_CACHE"])


@pytest.fixture
def one_thread():
    """As many threads as the workers have: convolutions are chosen by their number."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
