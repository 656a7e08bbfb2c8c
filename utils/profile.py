"""The two profiles: the training that readers see, and its first steps.

BN_PROFILE=short in the environment ends each pass over a training set after its
first `BATCHES` batches, each training after one pass, and each test set after its
first `PICTURES` pictures. Data, order, networks, and code are those of the full
profile, so the steps of a short training are the first ones of the full training.
"""

import os

BATCHES, PICTURES = 32, 2000


def is_short() -> bool:
    """Whether BN_PROFILE asks for the short profile; ValueError if it is unclear."""
    profile = os.environ.get("BN_PROFILE", "full")
    if profile not in ("short", "full"):
        raise ValueError(
            f"BN_PROFILE has to be short or full, but it is {profile!r}. Correct it, "
            "or unset it for full training."
        )
    return profile == "short"
