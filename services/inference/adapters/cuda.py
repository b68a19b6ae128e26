"""Whether a CUDA GPU is really there; ONNX Runtime's own lists claim ones that are not."""

import ctypes

_DRIVER = "libcuda.so.1"


def why_none() -> str:
    """Why no GPU can be used, in a sentence; empty when one can."""
    try:
        code, count = _count()
    except OSError:
        return f"There is no NVIDIA driver ({_DRIVER})."
    if code:
        return f"The NVIDIA driver does not start (error {code})."
    return "" if count else "The NVIDIA driver sees no GPU."


def _count() -> tuple[int, int]:
    """The driver's error code, 0 being none, and its devices."""
    driver = ctypes.CDLL(_DRIVER)
    count = ctypes.c_int(0)
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    return int(code), count.value
