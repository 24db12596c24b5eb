"""From statements to a table: one pass in reading order that notes bindings, frames and calls.

Nothing is inferred here: a table depends on the block's text alone and is kept with it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from octod.indexer.expressions import ExpressionReader
from octod.indexer.frames import Binding, Branch, Frame, FrameKind, Statement, Table, path_text
from octod.indexer.made import class_of_call, written_out
from octod.indexer.parse import Block
from octod.indexer.patterns import captured, tested

__all__ = ["table_of"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def table_of(block: Block) -> Table:
    """The block's table; made once for its text."""
    table = block.parsed.table
    if table is None:
        reader = _Reader()
        try:
            reader.body(block.parsed.body)
        except RecursionError:
            pass  # what was read so far is still true; deeper code is data (P13)
        table = block.parsed.table = reader.table
    assert isinstance(table, Table)
    return table


_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_KINDS: dict[type[ast.AST], str] = {
    ast.Assign: "assign", ast.AnnAssign: "assign", ast.AugAssign: "augment", ast.Return: "return", ast.Expr: "expr",
    ast.If: "if", ast.While: "while", ast.For: "for", ast.AsyncFor: "for", ast.With: "with", ast.AsyncWith: "with",
    ast.Assert: "assert", ast.Raise: "raise", ast.Delete: "del", ast.Match: "match",
}  # fmt: skip


class _Reader(ExpressionReader):
    """Walks statements in reading order and fills a table."""

    def body(self, statements: Iterable[ast.stmt]) -> None:
        for node in statements:
            handler = _STATEMENTS.get(type(node))
            if handler is not None:
                handler(self, node)

    def say(self, node: ast.AST, targets: tuple[ast.expr, ...] = ()) -> None:
        self.statement = Statement(_KINDS.get(type(node), "expr"), targets, self.blocks)

    def _assign(self, node: ast.Assign) -> None:
        self.say(node, tuple(node.targets))
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Call):
            made = class_of_call(node.targets[0].id, node.value)
            if made is not None:
                self.expression(node.value, None, "")
                self._class(made)
                return
        self.expression(node.value, None, "")
        for target in node.targets:
            self.target(target, "assign", node.value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        self.say(node, (node.target,))
        self.expression(node.annotation, None, "")
        if node.value is not None:
            self.expression(node.value, None, "")
        self.target(node.target, "annotated", node)

    def _augmented(self, node: ast.AugAssign) -> None:
        self.say(node, (node.target,))
        self.expression(node.value, None, "")
        if not isinstance(node.target, ast.Name):
            self.expression(node.target, None, "")
            return
        earlier = self.frame.bindings.get(node.target.id)
        if earlier is None or not isinstance(earlier[-1].node, ast.BinOp):  # once: long runs of them say nothing new
            both = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
            self.bind(node.target.id, "assign", ast.copy_location(both, node))

    def _expression(self, node: ast.Expr) -> None:
        self.say(node)
        self.expression(node.value, None, "")

    def _return(self, node: ast.Return) -> None:
        self.say(node)
        if node.value is not None:
            self.expression(node.value, None, "")
            self.frame.returns.append((node.value, self.order, self.branch))

    def _other(self, node: ast.stmt) -> None:
        self.say(node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.expression(child, None, "")

    def _assert(self, node: ast.Assert) -> None:
        self._other(node)
        self.narrow(node.test)

    def arm(self, statements: list[ast.stmt], group: ast.AST, number: int, arms: int, word: str, excluded: ast.expr | None = None) -> None:
        """Read one arm of a conditional statement; ``excluded`` is a condition that does not hold in it."""
        outer, blocks = self.branch, self.blocks
        left = bool(statements) and isinstance(statements[-1], _LEAVING)
        self.branch = Branch(outer, group, number, arms, left)
        if excluded is not None:
            self.apart(self.exclude, excluded)
        self.blocks = (*blocks, word)
        self.body(statements)
        self.branch, self.blocks = outer, blocks

    def _if(self, node: ast.If) -> None:
        self.say(node)
        self.expression(node.test, None, "")
        if path_text(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            # what holds for type checkers holds here, and hides what stands in for it at run time
            self.arm(node.orelse, node, 1, 0, "if")
            self.block(node.body, "if")
            return
        outer, blocks = self.branch, self.blocks
        arms = 2 if node.orelse else 0
        left = isinstance(node.body[-1], _LEAVING)
        self.branch = Branch(outer, node, 0, arms, left)
        self.apart(self.narrow, node.test)
        self.blocks = (*blocks, "if")
        self.body(node.body)
        self.branch, self.blocks = outer, blocks
        if node.orelse:
            if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
                self.branch = Branch(outer, node, 1, arms)
                self.apart(self.exclude, node.test)
                self.body(node.orelse)
                self.branch = outer
            else:
                self.arm(node.orelse, node, 1, arms, "if", node.test)
        if left:
            self.exclude(node.test)

    def apart(self, narrow: Callable[[ast.expr], None], test: ast.expr) -> None:
        """Narrow inside the arm only: the binding's branch counts as left, so nothing after the arm sees it."""
        arm = self.branch
        assert arm is not None
        self.branch = Branch(arm.parent, arm.group, arm.arm, 0, True)
        narrow(test)
        self.branch = arm

    def _try(self, node: ast.Try) -> None:
        if not node.handlers:
            self.block(node.body, "try")
        else:
            arms = 1 + len(node.handlers)
            self.arm(node.body, node, 0, arms, "try")
            for number, handler in enumerate(node.handlers, 1):
                outer, blocks = self.branch, self.blocks
                left = bool(handler.body) and isinstance(handler.body[-1], _LEAVING)
                self.branch = Branch(outer, node, number, arms, left)
                self.blocks = (*blocks, "except")
                if handler.type is not None:
                    self.statement = Statement("except", (), self.blocks)
                    self.expression(handler.type, None, "")
                    if handler.name and isinstance(node, ast.TryStar):
                        group = ast.Subscript(ast.Name("ExceptionGroup", ast.Load()), handler.type, ast.Load())
                        self.bind(handler.name, "except", group)
                    elif handler.name:
                        self.bind(handler.name, "except", handler.type)
                self.body(handler.body)
                self.branch, self.blocks = outer, blocks
        self.block(node.orelse, "try")
        self.block(node.finalbody, "try")

    def block(self, statements: list[ast.stmt], word: str) -> None:
        blocks = self.blocks
        self.blocks = (*blocks, word)
        self.body(statements)
        self.blocks = blocks

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        self.say(node, (node.target,))
        self.expression(node.iter, None, "")
        self.target(node.target, "iterate", node.iter)
        self.block(node.body, "loop")
        self.block(node.orelse, "loop")

    def _while(self, node: ast.While) -> None:
        self.say(node)
        self.expression(node.test, None, "")
        outer = self.branch
        if isinstance(node.test, (ast.Call, ast.BoolOp, ast.UnaryOp)):
            self.branch = Branch(outer, node, 0)
            self.apart(self.narrow, node.test)
        self.block(node.body, "loop")
        self.branch = outer
        self.block(node.orelse, "loop")

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.say(node)
            self.expression(item.context_expr, None, "")
            if item.optional_vars is not None:
                self.target(item.optional_vars, "enter", item.context_expr)
        self.block(node.body, "with")

    def _match(self, node: ast.Match) -> None:
        self.say(node)
        self.expression(node.subject, None, "")
        for number, case in enumerate(node.cases):
            outer = self.branch
            self.branch = Branch(outer, node, number)
            for part in ast.walk(case.pattern):
                if isinstance(part, ast.MatchValue):
                    self.expression(part.value, None, "")
                elif isinstance(part, ast.MatchClass):
                    self.expression(part.cls, None, "")
            classes = tested(case.pattern)
            if classes is not None and (text := path_text(node.subject)):
                arm, self.branch = self.branch, Branch(outer, node, number, 0, True)
                self.bind(text, "narrow", classes)
                self.branch = arm
            for name, kind, made, path in captured(case.pattern, node.subject):
                self.bind(name, kind, made, path)
            if case.guard is not None:
                self.expression(case.guard, None, "")
            self.body(case.body)
            self.branch = outer

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.bind(alias.asname or alias.name.split(".")[0], "import", alias)

    def _from(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.frame.stars.append(node)
            else:
                self.bind(alias.asname or alias.name, "from", node)

    def _function(self, node: FunctionNode) -> None:
        self.statement = Statement("decorator", (), self.blocks)
        for decorator in node.decorator_list:
            self.expression(decorator, None, "")
        self.statement = Statement("def", (), self.blocks)
        arguments = node.args
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.expression(default, None, "")
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for argument in (*every, arguments.vararg, arguments.kwarg):
            if argument is not None and argument.annotation is not None:
                self.expression(argument.annotation, None, "")
        if node.returns is not None:
            self.expression(node.returns, None, "")
        frame = self.enter("function", node.name, node)
        self.order += 1
        outer = frame.parent
        assert outer is not None
        made = Binding(node.name, "def", node, outer, self.order, self.branch, (), frame)
        outer.bindings.setdefault(node.name, []).append(made)
        branch, blocks, self.branch, self.blocks = self.branch, self.blocks, None, ()
        self.variables(node)
        for argument in (*every, arguments.vararg, arguments.kwarg):
            if argument is not None:
                self.bind(argument.arg, "parameter", argument)
        self.body(node.body)
        self.frame, self.branch, self.blocks = outer, branch, blocks

    def _class(self, node: ast.ClassDef) -> None:
        node = written_out(node)
        self.statement = Statement("class", (), self.blocks)
        for part in (*node.decorator_list, *node.bases, *(k.value for k in node.keywords)):
            self.expression(part, None, "")
        frame = self.enter("class", node.name, node)
        outer = frame.parent
        assert outer is not None
        branch, blocks, self.branch, self.blocks = self.branch, self.blocks, None, ()
        self.variables(node)
        self.body(node.body)
        self.frame, self.branch, self.blocks = outer, branch, blocks
        self.bind(node.name, "class", node, inner=frame)

    def variables(self, node: FunctionNode | ast.ClassDef) -> None:
        """Type parameters in brackets (PEP 695); older versions of Python do not parse them."""
        for parameter in getattr(node, "type_params", ()):
            self.bind(parameter.name, "variable", parameter)

    def _alias(self, node: ast.stmt) -> None:
        """``type X = ...``."""
        self.bind(node.name.id, "assign", node.value)  # type: ignore[attr-defined]  # ast.TypeAlias, since Python 3.12

    def _global(self, node: ast.Global) -> None:
        if self.frame.kind == "function":
            self.frame.elsewhere.update(dict.fromkeys(node.names, self.table.module))

    def _nonlocal(self, node: ast.Nonlocal) -> None:
        outer = self.frame.parent
        if self.frame.kind == "function" and outer is not None and outer.kind == "function":
            self.frame.elsewhere.update(dict.fromkeys(node.names, outer))

    def enter(self, kind: FrameKind, name: str, node: ast.AST) -> Frame:
        outer = self.frame
        dotted = f"{outer.name}.{name}" if outer.name else name
        self.frame = Frame(kind, dotted, node, outer, self.order, self.branch)
        self.table.frames[dotted] = self.frame
        self.table.every.append(self.frame)
        return self.frame


_STATEMENTS: dict[type[ast.AST], Callable[..., None]] = {
    ast.Assign: _Reader._assign, ast.AnnAssign: _Reader._annotated, ast.AugAssign: _Reader._augmented,
    ast.Expr: _Reader._expression, ast.Return: _Reader._return, ast.If: _Reader._if, ast.Try: _Reader._try,
    ast.TryStar: _Reader._try, ast.For: _Reader._for, ast.AsyncFor: _Reader._for, ast.While: _Reader._while,
    ast.With: _Reader._with, ast.AsyncWith: _Reader._with, ast.Match: _Reader._match, ast.Import: _Reader._import,
    ast.ImportFrom: _Reader._from, ast.FunctionDef: _Reader._function, ast.AsyncFunctionDef: _Reader._function,
    ast.Global: _Reader._global, ast.Nonlocal: _Reader._nonlocal, ast.ClassDef: _Reader._class, ast.Assert: _Reader._assert, ast.Raise: _Reader._other, ast.Delete: _Reader._other,
}  # fmt: skip
if hasattr(ast, "TypeAlias"):
    _STATEMENTS[ast.TypeAlias] = _Reader._alias
