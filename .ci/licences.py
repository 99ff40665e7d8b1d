"""Checks the licence of everything that the crate is built from, its tests and tools included."""

import json
import re
import subprocess
import sys

ALLOWED = {
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",  # Mozilla's list of roots
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
}


def allowed(expression):
    """Whether an SPDX expression can be met with the licences above; "/" is how old crates write "OR"."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        result = conjunction()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            result = conjunction() or result
        return result

    def conjunction():
        result = licence()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            result = licence() and result
        return result

    def licence():
        name = tokens.pop(0)
        if name == "(":
            result = alternatives()
            tokens.pop(0)
            return result
        if tokens and tokens[0] == "WITH":
            name = " ".join([name, tokens.pop(0), tokens.pop(0)])
        return name in ALLOWED

    return alternatives() and not tokens


assert allowed("(MIT OR GPL-3.0) AND ISC") and not allowed("MIT AND GPL-3.0") and allowed("MIT/Apache-2.0")

metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"], check=True, capture_output=True
    ).stdout
)
packages = metadata["packages"]
refused = [p for p in packages if not (p["license"] and allowed(p["license"]))]
for package in refused:
    print(f"{package['name']} {package['version']}: {package['license'] or 'no licence named'}")
print(f"{len(packages)} packages, {len(refused)} with a licence that is not on the list")
sys.exit(1 if refused or not packages else 0)
