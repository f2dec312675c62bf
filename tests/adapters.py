"""The adapter of docs/check-model.md, whole and broken in one place, as files that import."""

import importlib
import re
import sys
from contextlib import contextmanager
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "check-model.md"


def page_code():
    """The network and its adapter, as the page has them."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (network,) = [b for b in blocks if "class Network" in b]
    (adapter,) = [b for b in blocks if "class Mine(" in b]
    return {"mine_network.py": network, "isogloss_mine.py": adapter}


def changed(code, *changes):
    """The same files with parts of them replaced; every part must be there."""
    code = dict(code)
    for old, new in changes:
        places = [name for name, text in code.items() if old in text]
        assert places, f"the page no longer has {old!r}"
        for name in places:
            code[name] = code[name].replace(old, new)
    return code


def write_weights(folder, code):
    """Weights of the network as the page has it, always the same."""
    import torch
    from safetensors.torch import save_file

    with imported(folder, {"mine_network.py": code["mine_network.py"]}):
        network = importlib.import_module("mine_network").Network()
    random = torch.Generator().manual_seed(5)
    weights = {
        name: 0.3 * torch.randn(value.shape, generator=random)
        for name, value in network.state_dict().items()
    }
    save_file(weights, folder / "mine.safetensors")
    return folder / "mine.safetensors"


@contextmanager
def imported(folder, code):
    """Write the files and make them importable; forget them afterwards."""
    folder.mkdir(exist_ok=True)
    for name, text in code.items():
        (folder / name).write_text(text, encoding="utf-8")
    names = [Path(name).stem for name in code]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
