"""What the measurements were made on."""

import os
import platform
import subprocess


def facts():
    return {
        "cores": os.cpu_count(),
        "processor": processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"Linux {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2),
        "commit": first_line(["git", "rev-parse", "--short", "HEAD"]),
    }


def processor():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def first_line(command):
    """The first line that a command prints; empty when it cannot be run."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (run.stdout + run.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""


def pinned(core, command):
    """The command on one core; as it is where there is only one."""
    if (os.cpu_count() or 1) < 2:
        return command
    return ["taskset", "-c", str(core)] + command


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
