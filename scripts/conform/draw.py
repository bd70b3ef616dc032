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
# A body that is too large gets 413. A missing body gets 415, because it has no content type.
SETTINGS = """
[checks.negative_data_rejection]
expected-statuses = [400, 413, 415, 422]
"""
SEED = "20260131"
EXAMPLES = "60"
SECONDS = 90
# With fewer requests, something prevented schemathesis from drawing them.
DRAWN_MIN = 300


def draw(sandbox, description):
    """Sends the same drawn requests every time. Returns their number, and a message if something is wrong."""
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
    output = run.stdout + run.stderr
    generated = re.search(r"(\d+) generated", output)
    drawn = int(generated[1]) if generated else 0
    return drawn, None if run.returncode == 0 and drawn >= DRAWN_MIN else output
