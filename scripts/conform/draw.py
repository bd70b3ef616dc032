"""Requests drawn from the description by schemathesis."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox import TOKEN

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "positive_data_acceptance",
    "negative_data_rejection",
)
# What is too big is refused by 413, and a body that there is not by 415, for its content type.
SETTINGS = """
[checks.negative_data_rejection]
expected-statuses = [400, 413, 415, 422]
"""
SEED = "20260131"
EXAMPLES = "60"
SECONDS = 90
# Fewer than this means that something kept schemathesis from drawing.
DRAWN_MIN = 300


def draw(sandbox, description):
    """Sends what is drawn, always the same; how much that was, and the message of what is wrong or None."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "description.json")
        file.write_text(json.dumps(description.document, default=str), encoding="utf-8")
        Path(folder, "schemathesis.toml").write_text(SETTINGS, encoding="utf-8")
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(file), "--url", sandbox.api]
        command += ["--header", f"X-Auth-Token: {TOKEN}", "--checks", ",".join(CHECKS), "--no-color"]
        command += ["--phases", "examples,coverage,fuzzing", "--continue-on-failure"]
        command += ["--max-examples", EXAMPLES, "--seed", SEED]
        command += ["--generation-database", "none", "--request-timeout", "10"]
        try:
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return 0, f"schemathesis was not done after {SECONDS} s"
    said = run.stdout + run.stderr
    told = re.search(r"(\d+) generated", said)
    drawn = int(told[1]) if told else 0
    return drawn, None if run.returncode == 0 and drawn >= DRAWN_MIN else said
