"""What pyright says: every public type is known, and README's programs are right in strict mode.

Run with the Python on the PATH in whose environment smtpwire is installed, and not for editing.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
PROGRAM = re.compile(r"<!-- example: (\w+) -->\n```python\n(.*?)```", re.DOTALL)
GIVEN = """\
import socket
from collections.abc import Callable
from smtpwire import Envelope
sock = socket.socket()
message = b""
deliver: Callable[[Envelope, bytes], None]
deliver = lambda envelope, content: None
"""
"""What README says the reader has."""


def pyright(*options: str, cwd: str) -> dict[str, object]:
    command = [sys.executable, "-m", "pyright", "--outputjson", *options]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        types = pyright("--verifytypes", "smtpwire", "--ignoreexternal", cwd=work)
        score = types["typeCompleteness"]
        Path(work, "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
        programs = PROGRAM.findall(README.read_text())
        for name, code in programs:
            Path(work, f"{name}.py").write_text((GIVEN if "sock." in code else "") + code)
        errors = pyright(cwd=work)["generalDiagnostics"]
    for each in errors:
        print(f"{Path(each['file']).stem}:{each['range']['start']['line'] + 1}: {each['message']}")
    known = score["exportedSymbolCounts"]["withKnownType"]
    print(f"{known} symbols, {score['completenessScore']:.1%} known; {len(programs)} programs")
    sys.exit(bool(errors) or score["completenessScore"] < 1 or not programs)


if __name__ == "__main__":
    main()
