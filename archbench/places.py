"""Where things are in the project."""
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ENTRY = REPOSITORY / "bin" / "archbench"
