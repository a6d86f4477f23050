#!/bin/bash -eu
# One executable a target, with its corpus, what was ever found, and the dictionary.

pip3 install .

for path in fuzz/targets/*.py; do
  target=$(basename -s .py "$path")
  [ "$target" = __init__ ] && continue
  # PyInstaller cannot see what is imported by name.
  printf 'import sys\n\nfrom fuzz.harness import fuzz\n\nfuzz("%s", sys.argv[1:])\n' "$target" \
    > "fuzz_$target.py"
  compile_python_fuzzer "fuzz_$target.py" \
    --paths . --hidden-import "fuzz.targets.$target" --collect-submodules smtpwire
  mkdir -p "fuzz/regressions/$target"
  zip -j -q -r "$OUT/fuzz_${target}_seed_corpus.zip" "fuzz/corpus/$target" "fuzz/regressions/$target"
  cp fuzz/smtp.dict "$OUT/fuzz_$target.dict"
done
