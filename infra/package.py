#!/usr/bin/env python3
"""Creates the deployable package: a folder, and a zip file next to it.

The root of the package holds host.json, the executable and one folder with a
function.json for each function. Unix modes are written into the zip, because
no deployment tool sets them reliably: 0755 for the executable, 0644 for the
rest. The same input gives the same bytes.
"""

import argparse
import json
import pathlib
import shutil
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXECUTABLE = "defender-functions"


def binding(path, auth_level):
    """The bytes of a function.json; an HTTP trigger without a level of its own gets this one."""
    function = json.loads(path.read_text())
    for item in function["bindings"]:
        if item["type"] == "httpTrigger":
            item.setdefault("authLevel", auth_level)
    return json.dumps(function, indent=2).encode() + b"\n"


def entries(executable, auth_level):
    """Path in the package -> (bytes, mode)."""
    found = {
        EXECUTABLE: (executable.read_bytes(), 0o755),
        "host.json": ((ROOT / "host.json").read_bytes(), 0o644),
    }
    for path in sorted((ROOT / "functions").glob("*/*/function.json")):
        found[f"{path.parent.name}/function.json"] = (binding(path, auth_level), 0o644)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executable", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the package; the zip file has the same name")
    parser.add_argument(
        "--auth-level",
        choices=["anonymous", "function", "admin"],
        default="anonymous",
        help="authLevel of the HTTP functions: anonymous for API_AUTH=entra, another one for API_AUTH=host",
    )
    options = parser.parse_args()
    if not options.executable.is_file():
        sys.exit(f"error: {options.executable} does not exist; build it first")

    if options.out.resolve() in options.executable.resolve().parents:
        sys.exit(f"error: {options.executable} is inside {options.out}, which is recreated; choose a different folder")

    shutil.rmtree(options.out, ignore_errors=True)
    archive = options.out.with_name(options.out.name + ".zip")
    archive.unlink(missing_ok=True)
    files = entries(options.executable, options.auth_level)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for name, (content, mode) in files.items():
            target = options.out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(mode)
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = (0o100000 | mode) << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(info, content)
    print(f"{archive}: {archive.stat().st_size} bytes, {len(files)} files")


if __name__ == "__main__":
    main()
