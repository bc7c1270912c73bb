"""How much memory a process took at most: for the benchmark and for the fuzz test, each in a process of its own."""
import resource, sys
from pathlib import Path


def peak():
    "The most memory of this process, in bytes (Linux's getrusage would count the parent's from before exec)"
    status = Path("/proc/self/status")
    if status.exists(): return int(status.read_text().split("VmHWM:")[1].split()[0])*1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*(1 if sys.platform == "darwin" else 1024)
