"""Memory of a process: how the C library hands it out, and the most that was held."""

import ctypes
import functools
import platform
import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # glibc's <malloc.h>
NEVER_TRIM_BYTES = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next allocation instead of giving it back to the kernel.

    glibc maps every allocation above 32 MiB afresh and unmaps it when freed, so each activation of a training step is
    page-faulted in and zeroed by the kernel again and again: measured at 40 % to 50 % of a step of a narrow IResNet on the
    CPU, and at 12 % to 22 % of the time of face detection. The price is that the process stays at its peak size. Call it before
    the work starts; a second call does nothing.

    Returns:
        True where it could be set; False elsewhere (no glibc), where nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER_TRIM_BYTES))


def give_freed_memory_back() -> None:
    """Let this process give freed memory back to the kernel, where many small tables are kept and none is large.

    Between what is kept, freed batches would leave holes that nothing fits: measured at a third of what an ingest of 100,000
    photographs adds to that of 1,000. The opposite of keep_freed_memory, which it takes back.
    Arrow's own allocator holds 20 MiB more, which the stage's command turns off (ARROW_DEFAULT_MEMORY_POOL=system).
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for what, value in ((M_MMAP_MAX, 65536), (M_MMAP_THRESHOLD, 64 * 1024), (M_TRIM_THRESHOLD, 128 * 1024)):
            mallopt(what, value)


def peak_memory_bytes(device: "torch.device") -> int:
    """The most memory held so far: allocated on a GPU, else resident of this process."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts KiB
