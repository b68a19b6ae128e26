"""Which code made a model: the package's version, and a hash of what computes the features."""

import hashlib
from functools import cache
from importlib import metadata, resources

_FEATURE_CODE = ("averages.py", "features.py", "feature_series.py", "trade_flow.py")


@cache
def code_version() -> str:
    """Such as `0.1.0+features.0123456789ab`."""
    domain = resources.files("services.inference.domain")
    digest = hashlib.sha256(b"".join((domain / file).read_bytes() for file in _FEATURE_CODE)).hexdigest()
    return f"{metadata.version('neural-trader-fleet')}+features.{digest[:12]}"
