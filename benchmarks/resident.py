"""How much memory a new process has had resident at its most, for the code that it runs."""

PEAK = """
def peak_bytes():
    # Not getrusage's ru_maxrss: that begins with what the process was forked from.
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
"""
"""Defines `peak_bytes()` in a process of Linux."""
