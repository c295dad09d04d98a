#!/bin/sh
# Installs the tree that this file stands in. A full check of the machine and the tree comes first.
set -eu
tree=$(cd "$(dirname "$0")" && pwd)
exec node "$tree/obelisk.mjs" install --from "$tree" "$@"
