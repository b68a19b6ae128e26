"""Whether a CUDA GPU is really there; ONNX Runtime's own lists claim ones that are not."""

import ctypes

_DRIVER = "libcuda.so.1"


def device_count() -> int:
    """GPUs that the NVIDIA driver can open; 0 where there is no driver or it does not start."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
