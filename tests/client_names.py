"""Print a program that names every public object, for pyright in strict mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "_extensions"))
import reference

names = [name.replace("jaxinv.", "ji.", 1) for name in reference.public()]
print("import jaxinv as ji\n\nnames = [")
print("\n".join(f"    {name}," for name in names))
print("]")
