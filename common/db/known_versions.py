#!/usr/bin/env python3
"""Writes the list of schema versions this build knows as C: known_versions.py FOLDER OUT.c OUT.d"""
import hashlib
import pathlib
import re
import sys

folder, out, depfile = (pathlib.Path(a) for a in sys.argv[1:4])
files = sorted(p for p in folder.glob("*.sql"))
rows = []
for path in files:
    match = re.fullmatch(r"(\d+)_.*\.sql", path.name)
    if match is None:
        sys.exit(f"{path.name}: a migration is called VERSION_name.sql")
    rows.append((match[1], hashlib.blake2b(path.read_bytes(), digest_size=32).hexdigest()))
if len({version for version, _ in rows}) != len(rows):
    sys.exit("two migrations have the same version")
lines = ['#include "common/db/schema.h"', "", "const struct schema_version schema_versions[] = {"]
lines += [f'\t{{"{version}", "{checksum}"}},' for version, checksum in sorted(rows)]
lines += ["};", f"const size_t schema_version_count = {len(rows)};", ""]
out.write_text("\n".join(lines))
# The folder itself: a file that comes or goes changes its time.
depfile.write_text(f"{out}: " + " ".join(str(p) for p in [folder, *files]) + "\n")
