#!/usr/bin/env python3
"""Puts the deployable package together: a folder and a zip beside it.

The root of the package holds host.json, the executable and one folder with a
function.json for each function. Unix modes are written into the zip, because
no deployment tool sets them reliably: 0755 for the executable, 0644 for the
rest. The same input gives the same bytes.
"""

import argparse
import pathlib
import shutil
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXECUTABLE = "defender-functions"


def entries(executable):
    """Path in the package -> (file, mode)."""
    found = {EXECUTABLE: (executable, 0o755), "host.json": (ROOT / "host.json", 0o644)}
    for binding in sorted((ROOT / "functions").glob("*/*/function.json")):
        found[f"{binding.parent.name}/function.json"] = (binding, 0o644)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executable", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the package; the zip gets its name")
    options = parser.parse_args()
    if not options.executable.is_file():
        sys.exit(f"error: {options.executable} does not exist; build it first")

    shutil.rmtree(options.out, ignore_errors=True)
    archive = options.out.with_suffix(".zip")
    archive.unlink(missing_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for name, (source, mode) in entries(options.executable).items():
            target = options.out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(mode)
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = (0o100000 | mode) << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(info, source.read_bytes())
    print(f"{archive}: {archive.stat().st_size} bytes, {len(entries(options.executable))} files")


if __name__ == "__main__":
    main()
