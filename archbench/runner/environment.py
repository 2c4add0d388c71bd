"""The machine and the programs a result holds for, as part of the result."""
import hashlib
import os
import pathlib
import platform
import resource
import subprocess

SYSCTLS = """net/core/somaxconn net/core/rmem_max net/core/wmem_max net/core/netdev_max_backlog
net/ipv4/tcp_max_syn_backlog net/ipv4/tcp_mem net/ipv4/tcp_rmem net/ipv4/tcp_wmem
net/ipv4/tcp_abort_on_overflow net/ipv4/ip_local_port_range net/ipv4/tcp_congestion_control
kernel/sched_rt_runtime_us kernel/sched_autogroup_enabled kernel/pid_max kernel/threads-max
kernel/randomize_va_space vm/overcommit_memory vm/swappiness fs/file-max fs/nr_open""".split()
LIMITS = {"open_files": resource.RLIMIT_NOFILE, "processes": resource.RLIMIT_NPROC,
          "realtime_priority": resource.RLIMIT_RTPRIO, "stack": resource.RLIMIT_STACK}
PACKAGES = """libc6 libev4 libev-dev liburing2 node-llhttp libinih1 libjansson4 libnettle8 gcc
linux-libc-dev python3-numpy python3-scipy python3-matplotlib gnuplot-nox""".split()


def text_of(path):
    """A small file without the blanks around it, or None where it cannot be read."""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def output_of(*command):
    """What a command prints, or None where it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def cpu():
    """Model and flags that matter from /proc/cpuinfo."""
    keys = {}
    for line in (text_of("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        keys.setdefault(key.strip(), value.strip())
    return {"model": keys.get("model name") or platform.machine(), "mhz": keys.get("cpu MHz"),
            "cache": keys.get("cache size"), "hypervisor": "hypervisor" in keys.get("flags", "")}


def memory_kb():
    for line in (text_of("/proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1])
    return None


def governors():
    files = pathlib.Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return sorted({text_of(file) for file in files}) or None


def mitigations():
    files = pathlib.Path("/sys/devices/system/cpu/vulnerabilities").glob("*")
    return {file.name: text_of(file) for file in sorted(files)}


def limits():
    named = {}
    for name, number in LIMITS.items():
        named[name] = [None if value == resource.RLIM_INFINITY else value
                       for value in resource.getrlimit(number)]
    return named


def versions():
    """Of the packages that are there."""
    listed = output_of("dpkg-query", "-W", "-f", "${Package}=${Version}\\n", *PACKAGES)
    if listed is None:  # it fails when one of them is missing: ask one by one
        lines = [output_of("dpkg-query", "-W", "-f", "${Package}=${Version}", name)
                 for name in PACKAGES]
    else:
        lines = listed.splitlines()
    found = dict(line.split("=", 1) for line in lines if line and "=" in line)
    return dict(found, python=platform.python_version())


def flags(build):
    """Compiler and flags as the Makefile would use them now."""
    return output_of("make", "-s", f"B={build}", "--eval",
                     "print-flags: ; @echo $(COMPILE)", "print-flags")


def binaries(build):
    """SHA-256 of every program of the build that takes part in a measurement."""
    files = [pathlib.Path(build, name) for name in ("cell", "loadgen", "calibrate", "upstream")]
    files += [path for path in sorted(pathlib.Path(build, "servers").glob("*"))
              if not path.suffix and os.access(path, os.X_OK)]
    return {str(path.relative_to(build)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files if path.is_file()}


def describe(build):
    """Everything at once."""
    commit = output_of("git", "rev-parse", "HEAD")
    return {
        "kernel": f"{platform.release()} {platform.version()}",
        "cpu": cpu(),
        "cores": {"online": os.cpu_count(), "usable": sorted(os.sched_getaffinity(0))},
        "memory_kb": memory_kb(),
        "governor": governors(),
        "mitigations": mitigations(),
        "sysctls": {name.replace("/", "."): text_of(f"/proc/sys/{name}") for name in SYSCTLS},
        "limits": limits(),
        "compiler": (output_of("cc", "--version") or "").partition("\n")[0],
        "flags": flags(build),
        "versions": versions(),
        "commit": commit and commit + ("+" if output_of("git", "status", "--porcelain") else ""),
        "binaries": binaries(build),
    }
