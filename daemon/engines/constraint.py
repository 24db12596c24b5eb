"""An argument list, read one character at a time: which characters may come next inside a call's brackets.

A sub-language of Python's expressions: names, literals, attributes, calls, subscripts, displays, operators,
conditionals and lambdas; no comprehensions (their names come before they are bound), no ``:=``, ``await`` or
comments, no triple quotes, strings not glued together. Names must be known; keywords must be the signature's, once
each, after the positional arguments; the bracket closes only when no required parameter is missing. What this
reading lets through is parsed by ``ast`` before the closing bracket is accepted, so a finished list is always Python.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable

from octod.daemon.engines import syntax
from octod.daemon.engines.syntax import Frame, Kind, Rules, parsed

__all__ = ["ArgumentList", "Rules"]


class ArgumentList:
    """The reading so far; ``feed`` moves it on and says whether that can still become an argument list.

    After a False the object must not be used any more; ``after`` tries a text on a copy.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        constraint = rules.constraint
        top = Frame("call")
        top.positional = constraint.given_positional
        top.items = constraint.given_positional + len(constraint.given_keywords)
        top.used = frozenset(constraint.given_keywords)
        top.keyworded = bool(constraint.given_keywords)
        self.frames = [top]
        self.text = ""  # everything read
        self.done = False
        self._state = "operand"
        self._lexeme = self._quote = ""
        self._escaped = False
        self._last = ""  # kind of the last operand: name, value, constant, string, display
        self._sole = False  # the name being read may turn out to be a keyword
        self._newlines = 0
        self._gap = ""  # blanks since the last other character
        self._may_gap = top.items > 0
        self._words = True  # `not` and `lambda` may stand here
        self._fresh = True  # nothing but blanks read so far

    def after(self, text: str) -> tuple[ArgumentList, int] | None:
        """The reading after ``text`` and how much of it was used up to the closing bracket; None when not viable."""
        other = ArgumentList.__new__(ArgumentList)
        other.__dict__.update(self.__dict__)
        other.frames = [frame.copy() for frame in self.frames]
        for used, character in enumerate(text, 1):
            if not other.feed(character):
                return None
            if other.done:
                return other, used
        return other, len(text)

    def feed(self, character: str) -> bool:
        """Read one character; False when no argument list begins like this."""
        if self.done or not (character.isprintable() or character == "\n"):
            return False
        self.text += character
        if not self._step(character):
            return False
        if character not in " \n":
            self._gap = ""
            self._fresh = False
        return True

    def _step(self, c: str) -> bool:
        # The state is the name of the method below that reads on from it, so that a copy of self has its own.
        read: Callable[[str], bool] = getattr(self, f"_{self._state}")
        return read(c)

    # -- where an operand is due

    def _operand(self, c: str) -> bool:
        frame = self.frames[-1]
        if c in " \n":
            return self._blank(c, self._may_gap or (c == "\n" and not frame.started and not frame.star))
        if c in ")]}":
            return self._close_without_operand(frame, c)
        if frame.kind == "subscript" and (c == ":" or (c == "," and frame.optional)):
            return self._colon(frame) if c == ":" else self._next_item(frame)
        if c == "*":
            if frame.started or frame.star or frame.kind in ("group", "subscript"):
                return False
            self._state = "star"
            return True
        if c.isidentifier():
            self._sole = frame.kind == "call" and not frame.started
            self._state, self._lexeme = "name", c
            return self._starts_name()
        if frame.star and not frame.started or not self._begin(frame):  # only names are unpacked
            return False
        if c in "'\"":
            return self._open_string("", c)
        if c.isascii() and (c.isdigit() or c == "."):
            self._state, self._lexeme = "number", c
            return True
        if c in "([{":
            return self._open({"(": "group", "[": "list", "{": "brace"}[c])  # type: ignore[arg-type]
        if c in "+-~" and not self.text[:-1].endswith(("+", "-", "~")):
            self._expect_operand(may_gap=False, words=False)
            return True
        return False

    def _begin(self, frame: Frame) -> bool:
        """An operand that is no keyword's name begins; in a call that may be a positional argument too many."""
        plain = not frame.started and frame.kind == "call" and not frame.star
        if plain and self._only_keywords(frame):
            return False
        frame.started, frame.optional = True, False
        return True

    def _only_keywords(self, call: Frame) -> bool:
        """No more positional arguments: a keyword was given, or the signature has none left."""
        limit = self.rules.constraint.positional
        return call.keyworded or (call is self.frames[0] and 0 <= limit <= call.positional)

    def _star(self, c: str) -> bool:
        frame = self.frames[-1]
        if c == "*":
            if frame.kind == "list" or frame.mode == "set":
                return False
            frame.star = "**"
            self._expect_operand(may_gap=False, words=False)
            return True
        if frame.mode == "dict" or (frame.kind == "call" and self._only_keywords(frame)):
            return False
        frame.star = "*"
        self._expect_operand(may_gap=False, words=False)
        return self._operand(c)

    def _expect_operand(self, *, may_gap: bool, words: bool) -> None:
        self._state, self._may_gap, self._words = "operand", may_gap, words

    # -- names and keywords

    def _name(self, c: str) -> bool:
        word, frame = self._lexeme, self.frames[-1]
        if (word + c).isidentifier():
            self._lexeme = word + c
            return self._starts_name()
        if c in "'\"" and word.lower() in syntax.STRING_PREFIXES:
            return self._begin(frame) and self._open_string(word, c)
        if c == "=" and self._sole and not frame.star:
            self._state = "equal"
            return self._is_keyword(word) or self._is_value(word)
        if word in ("not", "lambda"):
            if not self._words or not self._begin(frame):
                return False
            if word == "lambda":
                self._state, self._lexeme = "lambda", ""
                return self._lambda(c)
            self._expect_operand(may_gap=True, words=True)
            return c == " " and self._operand(c)
        if frame.star and not frame.started and word not in self.rules.names:
            return False
        kind = "constant" if word in syntax.CONSTANTS else "name"
        return self._is_value(word) and self._begin(frame) and self._end(kind, c)

    def _starts_name(self) -> bool:
        text, frame = self._lexeme, self.frames[-1]
        if self._sole and not frame.star:
            if self._starts_keyword(text, frame):
                return True
            if self._only_keywords(frame):
                return False
        if self._words and any(w.startswith(text) for w in ("not", "lambda")):
            return True
        if any(p.startswith(text.lower()) for p in syntax.STRING_PREFIXES):
            return True
        return self.rules.starts_value(text) or any(n.startswith(text) for f in self.frames for n in f.locals)

    def _starts_keyword(self, text: str, frame: Frame) -> bool:
        if frame is not self.frames[0] or self.rules.constraint.any_keyword:
            return True
        return any(k.startswith(text) and self._is_keyword(k) for k in self.rules.keywords)

    def _is_keyword(self, word: str) -> bool:
        frame = self.frames[-1]
        if word in frame.used or keyword.iskeyword(word):
            return False
        if frame is not self.frames[0]:
            return True
        constraint = self.rules.constraint
        if word in constraint.positional_names[: frame.positional]:
            return False
        return word in self.rules.keywords or constraint.any_keyword

    def _is_value(self, word: str) -> bool:
        return word in self.rules.values or any(word in f.locals for f in self.frames)

    def _equal(self, c: str) -> bool:
        frame = self.frames[-1]
        if c == "=":  # it was a comparison
            if not self._is_value(self._lexeme) or not self._begin(frame):
                return False
            self._expect_operand(may_gap=True, words=False)
            return True
        if not self._is_keyword(self._lexeme):
            return False
        frame.used |= {self._lexeme}
        frame.keyworded = frame.named = frame.started = True
        self._expect_operand(may_gap=False, words=True)
        return self._operand(c)

    def _lambda(self, c: str) -> bool:
        if c != ":":
            self._lexeme += c
            return syntax.LAMBDA_HEAD.fullmatch(self._lexeme) is not None
        names = [n.strip() for n in self._lexeme.split(",")] if self._lexeme.strip() else []
        if len(set(names)) != len(names) or not all(
            n.isidentifier() and not keyword.iskeyword(n) for n in names
        ):
            return False
        self.frames[-1].locals += tuple(names)
        self._expect_operand(may_gap=True, words=True)
        return True

    # -- literals

    def _open_string(self, prefix: str, quote: str) -> bool:
        self._state, self._quote, self._escaped, self._lexeme = "string", quote, False, prefix + quote
        return True

    def _string(self, c: str) -> bool:
        if c == "\n":
            return False
        self._lexeme += c
        if self._escaped or c == "\\":
            self._escaped = not self._escaped
            return True
        if c != self._quote:
            return True
        self._state, self._last = "after", "string"
        tree = parsed(self._lexeme)
        return tree is not None and all(
            self._is_value(n.id) for n in ast.walk(tree) if isinstance(n, ast.Name)
        )

    def _number(self, c: str) -> bool:
        if syntax.PARTIAL_NUMBER.fullmatch(self._lexeme + c):
            self._lexeme += c
            return True
        return syntax.WHOLE_NUMBER.fullmatch(self._lexeme) is not None and self._end("constant", c)

    def _end(self, kind: str, c: str) -> bool:
        """The operand before ``c`` is complete."""
        self._state, self._last = "after", kind
        return self._after(c)

    # -- after an operand

    def _after(self, c: str) -> bool:
        frame = self.frames[-1]
        if c in " \n":
            return self._blank(c, True)
        if c.isidentifier():
            self._state, self._lexeme = "word", c
            return bool(self._gap) and self._starts_word()
        if c in "+-*/%@&|^<>=!":
            self._state, self._lexeme = "operator", c
            return True
        if self._gap and "\n" not in self._gap:
            return False
        if c in ")]}":
            return self._close(frame, c)
        if c == ",":
            return self._end_item(frame) and self._next_item(frame)
        if c == ":":
            return self._colon(frame)
        if c == "." and self._last != "constant":
            self._state, self._lexeme = "attribute", ""
            return True
        if c == "(" and self._last in ("name", "value"):
            return self._open("call")
        return c == "[" and self._last != "constant" and self._open("subscript")

    def _attribute(self, c: str) -> bool:
        if (self._lexeme + c).isidentifier():
            self._lexeme += c
            return True
        return self._lexeme.isidentifier() and not keyword.iskeyword(self._lexeme) and self._end("name", c)

    def _operator(self, c: str) -> bool:
        if self._lexeme + c in syntax.OPERATOR_STARTS:
            self._lexeme += c
            return True
        if self._lexeme not in syntax.OPERATORS:
            return False
        self._expect_operand(may_gap=True, words=False)
        return self._operand(c)

    def _starts_word(self) -> bool:
        return any(word.startswith(self._lexeme) for word in self._word_operators())

    def _word_operators(self) -> tuple[str, ...]:
        return ("and", "or", "in", "is", "not in", "else" if self.frames[-1].conditional else "if")

    def _word(self, c: str) -> bool:
        word = self._lexeme
        if c == " " and word in self._word_operators():
            if word in ("if", "else"):
                self.frames[-1].conditional = word == "if"
            self._expect_operand(may_gap=True, words=word != "in")
            return self._operand(c)
        self._lexeme += c
        return self._starts_word()

    def _blank(self, c: str, may: bool) -> bool:
        if c == "\n":
            self._newlines += 1
            self._gap += c
            return may and "\n" not in self._gap[:-1] and self._newlines <= self.rules.constraint.newlines
        within = not self._gap and may
        indents = "\n" in self._gap and len(self._gap) < 80
        self._gap += c
        return within or indents

    # -- brackets and items

    def _open(self, kind: Kind) -> bool:
        self.frames.append(Frame(kind))
        self._expect_operand(may_gap=False, words=True)
        return len(self.frames) <= syntax.DEEPEST

    def _colon(self, frame: Frame) -> bool:
        if frame.conditional or frame.kind not in ("subscript", "brace"):
            return False
        frame.colons += 1
        if frame.kind == "brace":
            if frame.colons > 1 or frame.star or frame.mode == "set":
                return False
            frame.mode = "dict"
            self._expect_operand(may_gap=True, words=True)
            return True
        frame.started = frame.optional = True
        frame.locals = ()
        self._expect_operand(may_gap=False, words=True)
        return frame.colons <= 2

    def _end_item(self, frame: Frame) -> bool:
        if frame.conditional:
            return False
        if frame.kind == "brace":
            if frame.star == "**" or frame.colons:
                frame.mode = "dict"
            elif frame.mode == "dict":
                return False
            else:
                frame.mode = "set"
        if frame.kind == "call":
            if frame.star:
                frame.unpacked = True
                frame.keyworded = frame.keyworded or frame.star == "**"
            elif not frame.named:
                frame.positional += 1
        frame.items += 1
        return True

    def _next_item(self, frame: Frame) -> bool:
        frame.next_item()
        self._expect_operand(may_gap=True, words=True)
        return True

    def _close_without_operand(self, frame: Frame, c: str) -> bool:
        """``()``, ``f(a,\\n)``, ``x[1:]``: nothing stands between the bracket and what was before."""
        if frame.kind == "subscript":
            return frame.optional and self._close(frame, c)
        trailing = frame.items > 0 and "\n" not in self._gap and not (frame is self.frames[0] and self._fresh)
        if frame.started or frame.star or trailing:
            return False
        return self._pop(frame, c)

    def _close(self, frame: Frame, c: str) -> bool:
        return self._end_item(frame) and self._pop(frame, c)

    def _pop(self, frame: Frame, c: str) -> bool:
        if syntax.CLOSES[frame.kind] != c:
            return False
        if len(self.frames) == 1:
            self.done = self._complete(frame)
            return self.done
        self.frames.pop()
        self._state, self._last = "after", "value" if frame.kind in ("call", "subscript") else "display"
        return True

    def _complete(self, top: Frame) -> bool:
        constraint = self.rules.constraint
        bound = top.used | set(constraint.positional_names[: top.positional])
        if not top.unpacked and any(name not in bound for name in constraint.required):
            return False
        return parsed(f"f({self.text}") is not None
