"""From expressions to a table's calls and bindings: the part of the reader that statements build upon."""

from __future__ import annotations

import ast
from collections.abc import Callable

from octod.indexer.frames import DEEPEST, Binding, BindingKind, Branch, Call, Frame, Statement, Table, Use
from octod.indexer.parse import MARK

__all__ = ["ExpressionReader"]

_NO_STATEMENT = Statement("expr", (), ())


class ExpressionReader:
    """Walks expressions in reading order; knows the frame, branch and statement that they stand in."""

    def __init__(self) -> None:
        module = Frame("module", "", None, None)
        self.table = Table(module, {"": module}, [], every=[module])
        self.frame = module
        self.branch: Branch | None = None
        self.order = 0
        self.blocks: tuple[str, ...] = ()
        self.statement = _NO_STATEMENT
        self.depth = 0

    def bind(
        self, name: str, kind: BindingKind, node: ast.AST, path: tuple[int, ...] = (), frame: Frame | None = None,
        inner: Frame | None = None,
    ) -> None:  # fmt: skip
        frame = frame or self.frame
        self.order += 1
        binding = Binding(name, kind, node, frame, self.order, self.branch, path, inner)
        frame.bindings.setdefault(name, []).append(binding)

    def target(self, target: ast.expr, kind: BindingKind, node: ast.AST, path: tuple[int, ...] = ()) -> None:
        """Bind what an assignment, loop or ``with`` names; attributes of ``self`` go to the class."""
        if isinstance(target, ast.Name):
            self.bind(target.id, kind, node, path)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for number, element in enumerate(target.elts):
                if isinstance(element, ast.Starred):
                    self.target(element.value, "none", node)
                else:
                    self.target(element, kind, node, (*path, number))
        elif isinstance(target, ast.Attribute):
            self.expression(target.value, None, "")
            if target.attr == MARK:
                self.at_cursor(target.value, None, "")
                return
            owner = self.owner_of(target.value)
            if owner is not None:
                self.order += 1
                made = Binding(target.attr, kind, node, self.frame, self.order, self.branch, path)
                owner.attributes.setdefault(target.attr, []).append(made)
        elif isinstance(target, ast.Subscript):
            self.expression(target, None, "")

    def owner_of(self, value: ast.expr) -> Frame | None:
        """The class whose method this is when ``value`` is the method's first parameter."""
        frame = self.frame
        if not isinstance(value, ast.Name) or frame.kind != "function" or frame.parent is None:
            return None
        if frame.parent.kind != "class" or not isinstance(frame.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return None
        arguments = [*frame.node.args.posonlyargs, *frame.node.args.args]
        return frame.parent if arguments and arguments[0].arg == value.id else None

    # expressions -------------------------------------------------------------------------------------------------
    def at_cursor(self, receiver: ast.expr | None, outer: ast.Call | None, keyword: str) -> None:
        use = Use(self.frame, self.order, self.branch)
        self.table.cursor = Call(receiver, MARK, None, use, self.statement, outer, keyword)
        self.table.cursor_calls = len(self.table.calls)

    def expression(self, node: ast.expr, outer: ast.Call | None, keyword: str) -> None:
        kind = type(node)
        if kind is ast.Name:
            if node.id == MARK:  # type: ignore[attr-defined]
                self.at_cursor(None, outer, keyword)
            return
        if kind is ast.Constant:
            return
        if kind is ast.Attribute:
            assert isinstance(node, ast.Attribute)
            self.expression(node.value, outer, keyword)
            if node.attr == MARK:
                self.at_cursor(node.value, outer, keyword)
            return
        self.depth += 1
        if self.depth < DEEPEST:
            handler = _EXPRESSIONS.get(kind)
            if handler is not None:
                handler(self, node, outer, keyword)
            else:
                for name in node._fields:
                    value = getattr(node, name)
                    if isinstance(value, ast.expr):
                        self.expression(value, outer, keyword)
                    elif isinstance(value, list):
                        for child in value:
                            if isinstance(child, ast.expr):
                                self.expression(child, outer, keyword)
        self.depth -= 1

    def _call(self, node: ast.Call, outer: ast.Call | None, keyword: str) -> None:
        function = node.func
        if isinstance(function, ast.Attribute):
            self.expression(function.value, outer, keyword)
            if function.attr == MARK:
                self.at_cursor(function.value, outer, keyword)
            else:
                use = Use(self.frame, self.order, self.branch)
                self.table.calls.append(
                    Call(function.value, function.attr, node, use, self.statement, outer, keyword)
                )
        else:
            self.expression(function, outer, keyword)
            if isinstance(function, ast.Name):
                use = Use(self.frame, self.order, self.branch)
                self.table.bare.append(Call(None, function.id, node, use, self.statement, outer, keyword))
        for argument in node.args:
            self.expression(argument, node, "")
        for given in node.keywords:
            self.expression(given.value, node, given.arg or "")

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, outer: ast.Call | None, keyword: str
    ) -> None:
        frame = self.frame
        self.frame = Frame("comprehension", frame.name, node, frame, self.order, self.branch)
        self.table.nested[node] = self.frame
        self.table.every.append(self.frame)
        for generator in node.generators:
            self.target(generator.target, "iterate", generator.iter)
        if isinstance(node, ast.DictComp):
            self.expression(node.key, outer, keyword)
            self.expression(node.value, outer, keyword)
        else:
            self.expression(node.elt, outer, keyword)
        for generator in node.generators:
            self.expression(generator.iter, outer, keyword)
            for test in generator.ifs:
                self.expression(test, outer, keyword)
        self.frame = frame

    def _lambda(self, node: ast.Lambda, outer: ast.Call | None, keyword: str) -> None:
        frame = self.frame
        self.frame = Frame("lambda", frame.name, node, frame, self.order, self.branch)
        self.table.every.append(self.frame)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            self.bind(argument.arg, "none", argument)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.expression(default, outer, keyword)
        self.expression(node.body, outer, keyword)
        self.frame = frame

    def _walrus(self, node: ast.NamedExpr, outer: ast.Call | None, keyword: str) -> None:
        self.expression(node.value, outer, keyword)
        frame = self.frame
        while frame.kind == "comprehension" and frame.parent is not None:
            frame = frame.parent
        self.bind(node.target.id, "assign", node.value, frame=frame)

    def _yield(self, node: ast.Yield, outer: ast.Call | None, keyword: str) -> None:
        if node.value is not None:
            self.expression(node.value, outer, keyword)
            self.frame.yields.append((node.value, self.order, self.branch))


_EXPRESSIONS: dict[type[ast.AST], Callable[..., None]] = {
    ast.Call: ExpressionReader._call, ast.ListComp: ExpressionReader._comprehension, ast.SetComp: ExpressionReader._comprehension,
    ast.GeneratorExp: ExpressionReader._comprehension, ast.DictComp: ExpressionReader._comprehension, ast.Lambda: ExpressionReader._lambda,
    ast.NamedExpr: ExpressionReader._walrus, ast.Yield: ExpressionReader._yield,
}  # fmt: skip
