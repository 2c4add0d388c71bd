"""What the programs of a build say of themselves (--about), as JSON: the servers, and cell, which
decides how a cell is measured and judged. A run keeps both in its manifest."""
import json
import os
from pathlib import Path
import subprocess

from archbench.formats import former


def about(program):
    """Raises OSError or subprocess.CalledProcessError."""
    said = subprocess.run([program, "--about"], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def servers(build):
    """{name: what it says} of every server that is built."""
    return {path.name: about(path) for path in sorted(Path(build, "servers").glob("*"))
            if not path.suffix and os.access(path, os.X_OK)}  # a suffix: of the build's own files


def decided(build):
    """What cell decides: the limit of stolen time, how many cores are the server's by placement,
    what a workload has that its file does not say, and the size of a kernel stack."""
    return about(Path(build, "cell"))


def decided_in(manifest):
    """The same as it was for a run."""
    if "cell" in manifest:
        return manifest["cell"]
    cores = manifest.get("environment", {}).get("cores")
    usable = cores.get("usable", ()) if isinstance(cores, dict) else ()
    return former.decided(len(usable) or 1)
