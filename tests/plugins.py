"""Install a package with measures for the length of a test, as pip would lay it out."""

import sys
from contextlib import contextmanager

from isogloss.similarity.measures import MEASURES

DISTANCE = '''
"""The squared distance that is left after the best rotation: 2 - 2 procrustes."""

from dataclasses import replace

from isogloss.similarity.measures.procrustes import Procrustes


class Distance(Procrustes):
    info = replace(
        Procrustes.info, title="Distance", range=(0.0, 2.0), larger_is_more_similar=False
    )

    def relate(self, a, b, n):
        found = super().relate(a, b, n)
        return replace(found, score=2 - 2 * found.score)

    def shuffled(self, a, b, orders):
        return 2 - 2 * super().shuffled(a, b, orders)
'''


@contextmanager
def measures(folder, monkeypatch, code, **classes):
    """Make the classes of a module known as measures.

    Args:
        folder: Where to put the package.
        monkeypatch: pytest's.
        code: The module.
        classes: Name of a measure -> its class in the module.
    """
    (folder / "isogloss_extra_measures.py").write_text(code)
    info = folder / "isogloss_extra_measures-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: isogloss-extra-measures\nVersion: 1.0\n"
    )
    lines = [f"{name} = isogloss_extra_measures:{found}" for name, found in classes.items()]
    (info / "entry_points.txt").write_text("\n".join(["[isogloss.measures]", *lines, ""]))
    with monkeypatch.context() as patch:
        patch.syspath_prepend(folder)
        vars(MEASURES).pop("_plugins", None)
        try:
            yield
        finally:
            vars(MEASURES).pop("_plugins", None)
            sys.modules.pop("isogloss_extra_measures", None)
