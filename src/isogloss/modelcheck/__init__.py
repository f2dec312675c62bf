"""Does a model's adapter do what it promises? The check behind ``isogloss check-model``.

    from isogloss.modelcheck import as_text, check

    results = check("seamless(checkpoint=tiny)")
    print(as_text(results))
    assert not any(result.outcome == "fail" for result in results)

It runs an adapter on a few sentences, alone and in batches, again and anew, and compares the
numbers. It knows adapters only by their interface (:mod:`isogloss.models.base`), so it is the same
for families of Isogloss and for those of other packages.
"""

from isogloss.modelcheck.recognise import recognise
from isogloss.modelcheck.result import Result, as_dict, as_text
from isogloss.modelcheck.run import check

__all__ = ["Result", "as_dict", "as_text", "check", "recognise"]
