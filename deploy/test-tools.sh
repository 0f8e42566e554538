#!/bin/sh
# Installs what the tests talk to and this machine lacks: DCMTK, Chromium and a Chinese font, a Valkey or Redis server,
# Caddy, Orthanc, wrk.
# The S3 server is SeaweedFS, built by Go where Go can get it; else the tests use `rclone serve s3` and say so. With the
# argument `bench` the Versity gateway is built instead, in some minutes: rclone streams slower than what it serves.
set -eu
SEAWEEDFS=v0.0.0-20260402004241-6213daf11812
VERSITY=v1.8.0
missing=""
command -v storescu >/dev/null || missing="$missing dcmtk"
command -v chromium >/dev/null || missing="$missing chromium"
command -v valkey-server >/dev/null || command -v redis-server >/dev/null || missing="$missing redis-server"
command -v caddy >/dev/null || missing="$missing caddy"
command -v wrk >/dev/null || missing="$missing wrk" # the benchmarks' many clients
[ -n "$(fc-list :lang=zh 2>/dev/null)" ] || missing="$missing fonts-wqy-microhei" # for pages in screenshots
[ -x /usr/sbin/Orthanc ] || command -v Orthanc >/dev/null || missing="$missing orthanc"
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then as_root=""; else as_root="sudo -n"; fi
    echo "Installing for the tests:$missing"
    $as_root apt-get update -qq || true
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || \
        echo "Could not install:$missing. The tests that need them will say so." >&2
fi
if command -v go >/dev/null && ! command -v weed >/dev/null && [ ! -x "$(go env GOPATH)/bin/weed" ]; then
    GOFLAGS=-buildvcs=false go install "github.com/seaweedfs/seaweedfs/weed@$SEAWEEDFS" >/dev/null 2>&1 || \
        echo "SeaweedFS cannot be built here; the S3 tests use rclone serve s3." >&2
fi
if [ "${1:-}" = bench ] && command -v go >/dev/null && ! command -v weed >/dev/null && ! command -v versitygw >/dev/null &&
    [ ! -x "$(go env GOPATH)/bin/weed" ] && [ ! -x "$(go env GOPATH)/bin/versitygw" ]; then
    echo "Building versitygw for the benchmarks"
    GOFLAGS=-buildvcs=false go install "github.com/versity/versitygw/cmd/versitygw@$VERSITY" >/dev/null 2>&1 || \
        echo "versitygw cannot be built here; the benchmarks use rclone serve s3." >&2
fi
