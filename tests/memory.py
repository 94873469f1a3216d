"""The most memory that a process had; put into the programs of tests, which import nothing of this folder."""

MOST_MEMORY = """
def most_memory():
    # KiB. What getrusage says of a process begins with what its parent had when it was started.
    import resource, sys
    if sys.platform.startswith("linux"):
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
"""
