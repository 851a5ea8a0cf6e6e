#!/bin/sh
# symbols.sh LIBRARY: a library that any C library can load needs none by name, and no symbol of one alone.
wrong=$(readelf --dynamic --wide "$1" | grep NEEDED
        readelf --dyn-syms --wide "$1" | awk '$7 == "UND" && $8 != "" { print $8 }' |
          grep -E '_chk$|^__isoc|64$|^__aarch64_|^__stack_chk|@')
if [ -z "$wrong" ]; then
  echo "1 passed, 0 failed, 0 skipped"
else
  echo "FAILED: $1 does not load on every C library, because of:" $wrong
  echo "0 passed, 1 failed, 0 skipped"
fi
