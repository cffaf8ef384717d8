#!/usr/bin/env bash
# Makes the docs and the reference one site, in docs/site/build/site. What makes it is a package of its own, which is installed
# where it is missing or out of date: nobody else needs it.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh modules

site=docs/site
installed=$site/node_modules/.package-lock.json
if [ ! -e $installed ] || [ -n "$(find $site/package-lock.json $site/package.json -newer $installed -print -quit)" ]; then
  printf 'docs: installing what makes the site (npm ci)\n' >&2
  npm ci --prefix $site --ignore-scripts --no-audit --no-fund
  touch $installed
fi
$site/node_modules/.bin/tsc --noEmit -p $site
node_modules/.bin/tsx $site/build.ts
