"""What one module of archbench uses of another is there. Some of it is only reached by what takes
minutes to measure, and runs in no other test."""
import ast
import importlib
import types
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def bound_in(tree):
    """Names that the file uses for anything but a module, if only in one place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def missing(module, tree):
    """(line, "name.attribute") of those that are not there; how many were looked at."""
    local, found, seen = set(bound_in(tree)), [], 0
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        name = node.value.id
        used = None if name in local else getattr(module, name, None)
        if isinstance(used, types.ModuleType):
            seen += 1
            if not hasattr(used, node.attr):
                found.append((node.lineno, f"{name}.{node.attr}"))
    return found, seen


class Names(unittest.TestCase):
    def test_what_is_used_of_a_module_is_there(self):
        seen = 0
        for path in sorted((REPOSITORY / "archbench").rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            with self.subTest(module=".".join(parts)):
                found, looked = missing(importlib.import_module(".".join(parts)),
                                        ast.parse(path.read_text()))
                self.assertEqual(found, [])
                seen += looked
        self.assertGreater(seen, 1000)

    def test_one_that_is_not_there(self):
        tree = ast.parse("def f(ast):\n    ast.nothing\ntypes.gone\ntypes.ModuleType\n")
        module = types.SimpleNamespace(ast=ast, types=types)
        self.assertEqual(missing(module, tree), ([(3, "types.gone")], 2))
