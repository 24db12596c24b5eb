"""From expressions to a table's calls and bindings: the part of the reader that statements build upon."""

from __future__ import annotations

import ast
from collections.abc import Callable

from octod.indexer.frames import (
    DEEPEST,
    FILLING,
    STARRED,
    Binding,
    BindingKind,
    Branch,
    Call,
    Frame,
    Statement,
    Table,
    Use,
    path_text,
)
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
        branch = self.branch
        self.order += 1
        if self.frame.elsewhere and (owner := self.frame.elsewhere.get(name)) is not None and frame is self.frame:
            frame, branch = owner, Branch(None, node, 0)  # when a function that says ``global`` runs is not known
            frame.bindings.setdefault(name, []).append(Binding(name, kind, node, self.frame, self.order, branch, path, inner))
            return
        binding = Binding(name, kind, node, frame, self.order, branch, path, inner)
        frame.bindings.setdefault(name, []).append(binding)

    def target(self, target: ast.expr, kind: BindingKind, node: ast.AST, path: tuple[int, ...] = ()) -> None:
        """Bind what an assignment, loop or ``with`` names; attributes of ``self`` go to the class."""
        if isinstance(target, ast.Name):
            self.bind(target.id, kind, node, path)
        elif isinstance(target, (ast.Tuple, ast.List)):
            star = next((n for n, e in enumerate(target.elts) if isinstance(e, ast.Starred)), len(target.elts))
            for number, element in enumerate(target.elts):
                if isinstance(element, ast.Starred):
                    self.target(element.value, kind, node, (*path, STARRED + number))
                else:
                    self.target(element, kind, node, (*path, number if number < star else number - len(target.elts)))
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
            if text := path_text(target):
                self.bind(text, kind, node, path)
        elif isinstance(target, ast.Subscript):
            self.expression(target, None, "")
            self.fill(target.value, kind, node, path)
            if text := path_text(target):
                self.bind(text, kind, node, path)

    def fill(self, container: ast.expr, kind: BindingKind, node: ast.AST, path: tuple[int, ...] = ()) -> None:
        """Note what is put into a container."""
        text = path_text(container)
        if not text:
            return
        made = Binding(text, kind, node, self.frame, self.order, self.branch, path)
        self.frame.filled.setdefault(text, []).append(made)
        if isinstance(container, ast.Attribute) and (owner := self.owner_of(container.value)) is not None:
            owner.filled.setdefault(container.attr, []).append(made)

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
                if function.attr in FILLING and len(node.args) == 1 and not node.keywords:
                    self.fill(function.value, "assign", node.args[0])
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
            for test in generator.ifs:
                self.narrow(test)
        if isinstance(node, ast.DictComp):
            self.expression(node.key, outer, keyword)
            self.expression(node.value, outer, keyword)
        else:
            self.expression(node.elt, outer, keyword)
        for generator in node.generators:
            self.expression(generator.iter, outer, keyword)
            for test in generator.ifs:
                self.expression(test, outer, keyword)
        self.frame.order = self.order  # what conditions bind is seen by the element before them
        self.frame = frame

    def _lambda(self, node: ast.Lambda, outer: ast.Call | None, keyword: str) -> None:
        frame = self.frame
        self.frame = Frame("lambda", frame.name, node, frame, self.order, self.branch)
        self.table.nested[node] = self.frame
        self.table.every.append(self.frame)
        for number, argument in enumerate((*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)):
            self.bind(argument.arg, "lambda", outer if outer is not None else node, (number,))
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

    def _yield_from(self, node: ast.YieldFrom, outer: ast.Call | None, keyword: str) -> None:
        self.expression(node.value, outer, keyword)
        self.frame.yields.append((ast.Starred(node.value, ast.Load()), self.order, self.branch))

    # narrowing ---------------------------------------------------------------------------------------------------
    def narrow(self, test: ast.expr) -> None:
        """Bind what a condition that holds says of names: ``isinstance(x, T)``, ``issubclass``, ``type(x) is T``."""
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            for value in test.values:
                self.narrow(value)
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.exclude(test.operand)
        elif (found := _instance_test(test)) is not None:
            self.bind(found[0], found[1], found[2])

    def exclude(self, test: ast.expr) -> None:
        """Bind what a condition that does not hold says of names."""
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
            for value in test.values:
                self.exclude(value)
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.narrow(test.operand)
        elif (found := _instance_test(test)) is not None and found[1] == "narrow":
            self.bind(found[0], "exclude", found[2])

    def inside(self, group: ast.AST, number: int) -> Branch:
        """A branch for what is narrowed within an expression or an arm: nothing outside sees it."""
        return Branch(self.branch, group, number, 0, True)

    def _and_or(self, node: ast.BoolOp, outer: ast.Call | None, keyword: str) -> None:
        branch = self.branch
        for value in node.values:
            self.expression(value, outer, keyword)
            if value is not node.values[-1]:
                self.branch = self.inside(value, 0)
                (self.narrow if isinstance(node.op, ast.And) else self.exclude)(value)
        self.branch = branch

    def _conditional(self, node: ast.IfExp, outer: ast.Call | None, keyword: str) -> None:
        self.expression(node.test, outer, keyword)
        branch = self.branch
        for number, value in enumerate((node.body, node.orelse)):
            self.branch = Branch(branch, node, number, 0, True)
            (self.exclude if number else self.narrow)(node.test)
            self.expression(value, outer, keyword)
        self.branch = branch


def _instance_test(test: ast.expr) -> tuple[str, BindingKind, ast.expr] | None:
    """(what is tested, how it is narrowed, the classes) of a test for classes."""
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and len(test.args) == 2:
        kind = _TESTS.get(test.func.id)
        tested = test.args[0].target if isinstance(test.args[0], ast.NamedExpr) else test.args[0]
        if kind is not None and (text := path_text(tested)):
            return text, kind, test.args[1]
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Is, ast.Eq)) and isinstance(test.left, ast.Call):
        call = test.left
        if isinstance(call.func, ast.Name) and call.func.id == "type" and len(call.args) == 1 and (text := path_text(call.args[0])):
            return text, "narrow", test.comparators[0]
    return None


_TESTS: dict[str, BindingKind] = {"isinstance": "narrow", "issubclass": "narrowed class"}
_EXPRESSIONS: dict[type[ast.AST], Callable[..., None]] = {
    ast.Call: ExpressionReader._call, ast.ListComp: ExpressionReader._comprehension, ast.SetComp: ExpressionReader._comprehension,
    ast.GeneratorExp: ExpressionReader._comprehension, ast.DictComp: ExpressionReader._comprehension, ast.Lambda: ExpressionReader._lambda,
    ast.NamedExpr: ExpressionReader._walrus, ast.Yield: ExpressionReader._yield, ast.YieldFrom: ExpressionReader._yield_from,
    ast.BoolOp: ExpressionReader._and_or, ast.IfExp: ExpressionReader._conditional,
}  # fmt: skip
