"""One run beside another: two checkpoints of a model, or two models, paired.

OUT/
  compare.json    which runs, languages and settings
  results/        differences, those of single languages, the curves of both
  figures/        PDF and PNG; drawn.json says what they were drawn from
  report.html
"""

from isogloss.beside.data import Beside
from isogloss.beside.run import Compared, compare_runs
from isogloss.beside.stored import keep, kept

__all__ = ["Beside", "Compared", "compare_runs", "keep", "kept"]
