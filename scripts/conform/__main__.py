"""Compares the sandbox with the official description of the API and with recorded bodies. scripts/conformance runs it."""

import signal
import sys
from pathlib import Path

from description import Description
from draw import draw
from sandbox import Sandbox
from shapes import Recorded
from walk import walk


def main(folder, binary):
    description = Description(Path(folder, "customers.v3.yml"))
    recorded = Recorded(Path(folder))
    with Sandbox(binary) as walked:
        found = list(walk(walked, description, recorded))
    # A separate store, so that the drawn requests do not depend on the walk.
    with Sandbox(binary) as drawn_at:
        drawn, message = draw(drawn_at, description)
    panics = [sandbox.last_words for sandbox in (walked, drawn_at) if "panicked" in sandbox.last_words]
    wrong = [text for text in [*found, message, *panics] if text]
    for text in wrong:
        print(f"{text}\n")
    print(f"conformance: {found.count(None)} requests walked, {drawn} drawn, {len(wrong)} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    # A terminated check still ends its sandbox.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(*sys.argv[1:]))
