#!/usr/bin/env bash
# Builds the release executable for the Azure Functions images, on any build machine: for the glibc
# of Debian 11, with an embedded list of its dependencies (cargo auditable), and stripped. Prints its
# path. The tools are installed into target/build-tools at the versions below.
set -euo pipefail
cd "$(dirname "$0")/.."

target=x86_64-unknown-linux-gnu
glibc=2.31
zigbuild=0.24.1
zig=0.17.1
auditable=0.7.7

tools="$PWD/target/build-tools"
wanted="$zigbuild $zig $auditable"
if [ "$(cat "$tools/installed" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "cargo-zigbuild==$zigbuild" "ziglang==$zig"
    cargo install cargo-auditable --version "$auditable" --locked --debug --quiet --root "$tools"
    echo "$wanted" > "$tools/installed"
fi

# The executable contains no paths of the build machine and is identical on every machine.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$PWD=/source"
export CFLAGS="-ffile-prefix-map=$cargo_home=/cargo"

PATH="$tools/bin:$PATH" cargo auditable zigbuild --release --locked --package handler --target "$target.$glibc" "$@" >&2
echo "target/$target/release/defender-functions"
