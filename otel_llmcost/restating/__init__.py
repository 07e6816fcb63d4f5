"""Restating: stored usage priced again, as new versions of its lines, or without writing anything.

scope.py       which lines                    ┐
chunks.py      the ledger → Arrow tables      ├→ run.py: price, compare, write versions and what was before
repricing.py   Arrow columns → old and new    ┘   whatif.py: price under assumptions, write nothing
               amounts of each line
versions.py    where a restatement stands among the versions of a line
missing.py     what has no price, and the way out

It needs pyarrow, which comes with the extra `local`.
"""
