"""The library of the data sets: what a prepare.py may use.

A preparation script defines one function, ``prepare(p: Preparation) -> None``, and
ends with ``run(prepare)``. It reads what was fetched from ``p.source`` and writes
each split that dataset.yaml declares into ``p.split(name)``. What the user can
mend (a file that is not what it should be) is said with ``p.refuse``; any other
exception is a fault of the script. It must write the same bytes whenever variant,
source and secret are the same.
"""

from mlgym_dataset.preparation import Preparation, run

__all__ = ["Preparation", "run"]
