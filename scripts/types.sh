#!/usr/bin/env bash
# Completes dist/ with what `import` and `require` find as types. The declarations are there once, as those of CommonJS
# modules: ES modules may import such, and not the other way round. So a Tensor is the same class for both.
set -euo pipefail
cd "$(dirname "$0")/../dist"

# The declarations of lib/ name it by its place above them.
cp ../binding.d.ts types/
echo '{ "type": "commonjs" }' > types/package.json
for entry in index.d.ts index.d.cts; do
  echo "export * from './types/lib/index.js';" > "$entry"
done
