#!/bin/sh
# Browsers for the tests that look at pages: Chromium, the system's own, Debian's package, or Playwright's download; and
# Firefox, the system's own or Debian's package, without which its test is skipped.
# Usage: tests/browser.sh PYTHON
found() {
    for name in "$@"; do
        command -v "$name" >/dev/null && return 0
    done
    return 1
}

as_root=
[ "$(id -u)" = 0 ] || as_root="sudo --non-interactive"
install() {
    command -v apt-get >/dev/null || return 1
    apt-cache show "$1" 2>/dev/null | grep -q '^Filename' || $as_root apt-get update --quiet --quiet || return 1
    $as_root apt-get install --yes --quiet --quiet --no-install-recommends "$1" >/dev/null
}

found firefox-esr firefox || install firefox-esr || echo "no Firefox: its test is skipped" >&2
found chromium chromium-browser google-chrome || install chromium || exec "$1" -m playwright install chromium
