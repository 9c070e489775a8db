# SPDX-License-Identifier: Apache-2.0
"""Print what setup.py requires, one a line: `list_requirements.py base sim test`."""

import importlib.util
import sys
from pathlib import Path


def main() -> None:
    """Print the union of the named extras; `base` is what every installation needs."""
    spec = importlib.util.spec_from_file_location("arena_setup", Path(__file__).parent.parent / "setup.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known = {"base": module.RUN_TIME, **module.EXTRAS}
    for name in sys.argv[1:]:
        if name not in known:
            sys.exit(f"There is no extra {name!r}. Known: {', '.join(sorted(known))}.")
    print("\n".join(dict.fromkeys(line for name in sys.argv[1:] for line in known[name])))


if __name__ == "__main__":
    main()
