#!/bin/sh
# Build the Collector of builder.yaml into <repository>/.cache/otelcol/ and print the path of its binary.
# The first build takes about three minutes and needs Go; later calls return at once, until builder.yaml changes.
set -eu

BUILDER_VERSION=v0.161.0

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=$(dirname -- "$here")/.cache/otelcol
binary=$target/otelcol-llmcost

if ! [ -x "$binary" ] || ! cmp -s "$here/builder.yaml" "$target/builder.yaml.built"; then
    mkdir -p "$target"
    work=$(mktemp -d "$target/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cp "$here/builder.yaml" "$work/"
    (
        cd "$work"
        go run "go.opentelemetry.io/collector/cmd/builder@$BUILDER_VERSION" --config builder.yaml --skip-compilation
        cd otelcol-llmcost
        go build -trimpath -ldflags "-s -w" -o "$work/binary" .
    ) >&2
    # Renamed into place, so that a build that was cut short is never taken for a whole one.
    mv "$work/binary" "$binary"
    cp "$here/builder.yaml" "$target/builder.yaml.built"
fi
echo "$binary"
