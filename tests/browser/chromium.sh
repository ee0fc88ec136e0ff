#!/bin/sh
# Finds the browser of the tests and prints nothing; installs Debian's where it is missing and can be.
set -eu
[ -n "${PASSNUM_TEST_CHROMIUM:-}" ] && exit 0
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends chromium >/dev/null 2>&1 && exit 0
  apt-get update >/dev/null && apt-get install -y --no-install-recommends chromium >/dev/null && exit 0
fi
echo "No Chromium for the browser tests: install it (on Debian, 'apt-get install chromium')," \
  "or set PASSNUM_TEST_CHROMIUM to the path of a Chromium or a Chrome." >&2
exit 1
