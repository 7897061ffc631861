#!/bin/sh
# A browser for the tests that look at pages: the system's own, Debian's package, or Playwright's download.
# Usage: tests/browser.sh PYTHON
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
as_root=
[ "$(id -u)" = 0 ] || as_root="sudo --non-interactive"
if command -v apt-get >/dev/null && apt-cache show chromium 2>/dev/null | grep -q '^Filename' ||
    $as_root apt-get update --quiet --quiet; then
    $as_root apt-get install --yes --quiet --quiet --no-install-recommends chromium >/dev/null && exit 0
fi
exec "$1" -m playwright install chromium
