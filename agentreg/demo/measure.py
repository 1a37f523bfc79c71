"""What a Python file is like: its size, its functions, its imports, its docstrings.

A function's complexity is one, plus one for every ``if``, ``elif``, loop,
``except``, ``case`` (but for ``case _``), conditional expression, ``and``,
``or``, and ``for`` and ``if`` of a comprehension. Functions inside a
function count for themselves.
"""

from __future__ import annotations

import ast
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["LARGEST", "FileFacts", "FunctionFacts", "measure"]

LARGEST = 1_000_000  # bytes; a larger file is generated, and would hold everything up

_parsing = threading.Lock()  # before Python 3.12.2, a thread's ast.parse can break another's: a SystemError


@dataclass(frozen=True)
class FunctionFacts:
    """One function or method; *name* includes what it is defined in."""

    name: str
    line: int
    lines: int
    complexity: int


@dataclass(frozen=True)
class FileFacts:
    """One file.

    Attributes:
        path: From the folder on.
        problem: Why it could not be read; then there is nothing else.
        lines: All of them, blank ones and comments included.
        functions: In order of their lines.
        imports: The modules that it imports, each once.
        public: How many public names it defines, itself included.
        documented: How many of these have a docstring.
        seconds: Processor time that reading it took.
    """

    path: str
    problem: str | None = None
    lines: int = 0
    functions: tuple[FunctionFacts, ...] = ()
    classes: int = 0
    imports: tuple[str, ...] = ()
    public: int = 0
    documented: int = 0
    seconds: float = 0.0

    @property
    def complexity(self) -> int:
        """That of the most complex function."""
        return max((function.complexity for function in self.functions), default=0)

    @property
    def longest(self) -> int:
        """The lines of the longest function."""
        return max((function.lines for function in self.functions), default=0)


def measure(file: Path, path: str) -> FileFacts:
    """The facts about *file*, which is called *path* in them; what is wrong with it is one of them."""
    started = time.thread_time()
    try:
        source = _read(file)
        with _parsing:
            tree = ast.parse(source)
        counted = _Count(path)
        counted.walk(tree)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return FileFacts(path, _reason(error), seconds=time.thread_time() - started)
    return FileFacts(
        path,
        lines=len(source.splitlines()),
        functions=tuple(sorted(map(_Function.facts, counted.functions), key=lambda f: (f.line, f.name))),
        classes=counted.classes,
        imports=tuple(sorted(counted.imports)),
        public=counted.public,
        documented=counted.documented,
        seconds=time.thread_time() - started,
    )


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        source = stream.read(LARGEST + 1)
    if len(source) > LARGEST:
        raise ValueError(f"larger than {LARGEST:,} bytes")
    return source


def _reason(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg)
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, ValueError):
        return str(error)
    return "nested too deeply"


@dataclass
class _Function:
    name: str
    line: int
    lines: int
    complexity: int = 1

    def facts(self) -> FunctionFacts:
        return FunctionFacts(self.name, self.line, self.lines, self.complexity)


@dataclass(frozen=True)
class _Scope:
    """What a node is inside of."""

    prefix: str = ""
    public: bool = True
    function: _Function | None = None


@dataclass
class _Count:
    path: str
    functions: list[_Function] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    classes: int = 0
    public: int = 0
    documented: int = 0

    def walk(self, tree: ast.Module) -> None:
        """Count everything in *tree*; without recursion, which a deep expression would exhaust."""
        name = Path(self.path).stem
        self._define(tree, public=name == "__init__" or not name.startswith("_"))
        todo: list[tuple[ast.AST, _Scope]] = [(node, _Scope()) for node in tree.body]
        while todo:
            node, scope = todo.pop()
            inner = self._enter(node, scope)
            todo.extend((child, inner) for child in ast.iter_child_nodes(node))

    def _enter(self, node: ast.AST, scope: _Scope) -> _Scope:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return self._enter_function(node, scope)
        if isinstance(node, ast.ClassDef):
            self.classes += 1
            public = scope.public and not node.name.startswith("_")
            self._define(node, public)
            return _Scope(f"{scope.prefix}{node.name}.", public, scope.function)
        if isinstance(node, ast.Import):
            self.imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            self.imports.add("." * node.level + (node.module or ""))
        elif scope.function is not None:
            scope.function.complexity += _decisions(node)
        return scope

    def _enter_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: _Scope) -> _Scope:
        last = node.end_lineno or node.lineno
        function = _Function(f"{scope.prefix}{node.name}", node.lineno, last - node.lineno + 1)
        self.functions.append(function)
        self._define(node, scope.public and not node.name.startswith("_"))
        return _Scope(f"{function.name}.", public=False, function=function)

    def _define(self, node: Any, public: bool) -> None:
        if public:
            self.public += 1
            self.documented += ast.get_docstring(node, clean=False) is not None


_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp)


def _decisions(node: ast.AST) -> int:
    if isinstance(node, _BRANCHES):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.match_case):
        return int(not (_is_wildcard(node.pattern) and node.guard is None))
    return 0


def _is_wildcard(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None and pattern.name is None
