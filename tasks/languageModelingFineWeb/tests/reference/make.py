"""The starter's recipe with learning rates that are used to the full, and twice the steps."""

import subprocess
import sys

subprocess.run([sys.executable, "baseline.py", "--steps", "400", "--decay", "400", "--rate", "2"], check=True)
