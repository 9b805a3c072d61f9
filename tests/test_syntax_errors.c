/* test_syntax_errors.c - what the parser says, word for word.
 *
 * Each row is a text and the lines it gets: the place and message of each
 * error and its help.  The source lines shown under them are diagnostics.c's.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/syntax.h"

static const struct { const char *text, *messages; } errors[] = {
    {"let x = ",
     "1:8: error[E0005]: expected an expression after `=`, found the end of the line\n"},
    {"let x = (a + b\n"
     "let y = 3",
     "1:15: error[E0008]: expected `)` to close the `(` at 1:9\n"},
    {"let x = f(a, b]",
     "1:15: error[E0008]: expected `,` or `)` to close the `(` at 1:10, found `]`\n"},
    {"let x = a b",
     "1:11: error[E0005]: expected an operator or the end of the line after `a`, found `b`\n"},
    {"if x<-1 {\n"
     "}",
     "1:5: error[E0007]: `<-` right before `1` could compare or assign\n"
     "help: write x < -1\n"},
    {"x<-1",
     "1:2: error[E0007]: `<-` right before `1` could compare or assign\n"
     "help: write x < -1 to compare, x <- 1 to assign to a state\n"},
    {"let x <- 3",
     "1:7: error[E0005]: expected `=` or `,` after `x`, found `<-`\n"
     "help: `let` takes `=`; `<-` assigns to a state\n"},
    {"let a = 1 < 2 < 3",
     "1:15: error[E0005]: comparisons do not chain\n"
     "help: write a < b and b < c\n"},
    {"let a = x |> f + 1",
     "1:16: error[E0005]: `+` cannot follow a `|>`, which binds loosest\n"
     "help: put the chain in brackets: (x |> f) + ...\n"},
    {"let a = x |> 3",
     "1:14: error[E0005]: expected a function, a module or a label after `|>`, found `3`\n"},
    {"let a = x |>",
     "1:13: error[E0005]: expected a function, a module or a label after `|>`, found the end of the line\n"},
    {"let a = .5 + 5. + 1.e3",
     "1:9: error[E0004]: `.5` has no digit before the point\n"
     "help: write 0.5\n"
     "1:14: error[E0004]: `5.` has no digit after the point\n"
     "help: write 5.0\n"
     "1:19: error[E0004]: `1.e3` has no digit after the point\n"
     "help: write 1.0e3\n"},
    {"let a = 2 ** 3\n"
     "let b = !c\n"
     "let d = a && b\n"
     "let e := 3",
     "1:11: error[E0002]: there is no `**` in this language\n"
     "help: a power is written `^`\n"
     "2:9: error[E0002]: there is no `!` in this language\n"
     "help: write `not`\n"
     "3:11: error[E0002]: there is no `&&` in this language\n"
     "help: write `and`\n"
     "4:7: error[E0002]: there is no `:=` in this language\n"
     "help: `let x = ...` gives a name to a value\n"},
    {"def f(x):\n"
     "  return x",
     "1:1: error[E0009]: there is no `def` in this language\n"
     "help: a function is written fn f(x) = ..., a layer module Name()(x: [B, D]) -> [B, K] { ... }\n"
     "2:3: error[E0304]: `return` belongs in a module\n"},
    {"class Foo:",
     "1:1: error[E0009]: there is no `class` in this language\n"
     "help: a layer is written module Name()(x: [B, D]) -> [B, K] { ... }\n"},
    {"import torch",
     "1:1: error[E0009]: there is no `import` in this language\n"
     "help: use nn brings in the standard layers, use \"file.mt\" one of your own\n"},
    {"let a = True",
     "1:9: error[E0009]: `True` is written `true`\n"},
    {"module M(x: [B]) -> [B] {\n"
     "  return x\n"
     "}",
     "1:18: error[E0005]: expected `(` after `)`, found `->`\n"
     "help: a module has two lists, its configuration and its inputs: module NAME()(x: [B, D]) -> [B, "
     "K] { ... }\n"},
    {"module M()(x: [B]) [B] {\n"
     "  return x\n"
     "}",
     "1:20: error[E0005]: expected `->` after `)`, found `[`\n"
     "help: the result's shape stands before the block: module NAME()(x: [B, D]) -> [B, K] { ... }\n"},
    {"module M()(x: [B]) -> {\n"
     "  return x\n"
     "}",
     "1:23: error[E0005]: expected a type after `->`, found `{`\n"
     "help: a shape stands here: -> [B, K]\n"},
    {"module M()(x: [B]) {\n"
     "  return x\n"
     "}",
     "1:20: error[E0005]: expected `->` after `)`, found `{`\n"
     "help: the result's shape stands before the block: module NAME()(x: [B, D]) -> [B, K] { ... }\n"},
    {"module M()(x: [B]) -> [B]\n"
     "{\n"
     "  return x\n"
     "}",
     "2:1: error[E0005]: a line cannot begin with `{`\n"
     "help: put it at the end of the line before\n"},
    {"module M()(x: [B]) -> [B] {\n"
     "  return x\n"
     "\n"
     "module N()(x: [B]) -> [B] {\n"
     "  return x\n"
     "}",
     "4:1: error[E0008]: expected `}` to close the `{` at 1:27, found `module`\n"},
    {"module M()(x: [B], h: [B] = 0, q: [B]) -> [B] {\n"
     "  return x\n"
     "}",
     "1:32: error[E0005]: `q` has no default, but `h` before it has one\n"
     "help: inputs that may be left out come last\n"},
    {"let x = f(a = 3)",
     "1:13: error[E0008]: expected `,` or `)` to close the `(` at 1:10, found `=`\n"
     "help: a named argument is written a: ...\n"},
    {"if a = 3 {\n"
     "}",
     "1:6: error[E0005]: expected `{` after `a`, found `=`\n"
     "help: `==` compares; `=` gives a value to a name\n"},
    {"fn f(a) { a }",
     "1:9: error[E0005]: expected `=` after `)`, found `{`\n"
     "help: write fn f(x) = { ... }\n"},
    {"data d = csv(\"a.csv\") { x: f32[B] }",
     "1:23: error[E0005]: expected an operator or the end of the line after `)`, found `{`\n"
     "help: the fields stand after `->`: -> { x: f32[B, P], y: i32[B] }\n"},
    {"let x: f32[B] = 3",
     "1:6: error[E0005]: expected `=` or `,` after `x`, found `:`\n"
     "help: a `let` has no type of its own: it is that of its value\n"},
    {"train d in s for 30 {\n"
     "}",
     "1:21: error[E0005]: expected `steps` or `epochs` after `30`, found `{`\n"},
    {"train d in s {\n"
     "}",
     "1:14: error[E0005]: expected `for` after `s`, found `{`\n"},
    {"update net using adam(1e-3)",
     "1:12: error[E0005]: expected `minimize` after `net`, found `using`\n"},
    {"module M()(x: float) -> [B] { return x }",
     "1:15: error[E0005]: `x` cannot be `float`: a value stands here\n"
     "help: a module's configuration goes in its first list, its inputs in the second\n"},
    {"let s = \"abc",
     "1:9: error[E0003]: this text has no closing `\"`\n"
     "help: a text ends on the line it begins on; \\n stands for a line end\n"},
    {"let s = \"a\\qb\"",
     "1:9: error[E0003]: `\\q` means nothing in a text\n"
     "help: the escapes are \\n, \\t, \\\" and \\\\\n"},
    {"let x = a \303\227 b",
     "1:11: error[E0002]: `\303\227` (U+00D7) means nothing in this language\n"
     "help: write `*`\n"},
    {"let x = 'abc'",
     "1:9: error[E0003]: a text stands in double quotes\n"
     "help: write \"abc\"\n"},
    {"}",
     "1:1: error[E0008]: nothing is open that this `}` could close\n"},
    {"let x = )",
     "1:9: error[E0005]: expected an expression after `=`, found `)`\n"},
    {"let x = x[::2]",
     "1:12: error[E0005]: expected an expression after `:`, found `:`\n"
     "help: a slice is from:to, without a step\n"},
    {"modul M()(x: [B]) -> [B] { return x }",
     "1:7: error[E0005]: expected an operator or the end of the line after `modul`, found `M`\n"
     "help: did you mean `module`?\n"},
    {"let x = 2 x",
     "1:11: error[E0005]: expected an operator or the end of the line after `2`, found `x`\n"
     "help: a product is written with `*`\n"},
    {"let x = 3 // a comment",
     "1:16: error[E0005]: expected an operator or the end of the line after `a`, found `comment`\n"
     "help: `//` divides and rounds down; a comment begins with `#`\n"},
    {"// a comment here",
     "1:1: error[E0005]: expected a statement, found `//`\n"
     "help: a comment begins with `#`\n"},
    {"let x = a.0",
     "1:10: error[E0004]: expected a name after `.`, found 0\n"
     "help: an element is written with brackets: [0]\n"},
    {"x = 3",
     "1:1: error[E0005]: `x` is set without `let`\n"
     "help: write let x = ...\n"},
    {"param w: [B] = zeros",
     "1:1: error[E0304]: `param` belongs in a module\n"},
    {"for i in 0..T carry h { g = 3 }",
     "1:1: error[E0304]: `for` belongs in a module or a fn\n"
     "1:25: error[E0005]: no loop here carries or collects `g`\n"
     "help: write let g = ... for a new name, or `carry g` at the loop\n"},
    {"let x = a[a |> f: g]",
     "1:11: error[E0005]: inside [ ] this could be a label or a slice\n"
     "help: put the `|>` in brackets: [(a |> f):b] is a slice, [(a |> f: F())] a label\n"
     "1:19: error[E0005]: the label `f` needs a module's call after it\n"
     "help: write f: g()\n"},
    {"let 3 = x",
     "1:5: error[E0005]: expected a name after `let`, found `3`\n"},
    {"else { }",
     "1:1: error[E0005]: there is no `if` that this `else` belongs to\n"},
    {"let x = 1_000\n"
     "let y = 0x10\n"
     "let z = 3x",
     "1:9: error[E0004]: `1_000` is neither a number nor a name\n"
     "help: digits stand together, without `_`\n"
     "2:9: error[E0004]: `0x10` is neither a number nor a name\n"
     "help: numbers are written in decimal\n"
     "3:9: error[E0004]: `3x` is neither a number nor a name\n"
     "help: a name begins with a letter; a product is written with `*`\n"},
    {"let x = (a",
     "1:11: error[E0008]: expected `)` to close the `(` at 1:9\n"},
    {"let x = f(a,\n"
     "  b: 3,\n"
     "let y = 3\n"
     "let z = ",
     "2:8: error[E0008]: expected `)` to close the `(` at 1:10\n"
     "4:8: error[E0005]: expected an expression after `=`, found the end of the line\n"},
    {"every 3 { log loss }",
     "1:9: error[E0005]: expected `steps` or `epochs` after `3`, found `{`\n"},
    {"weights net from \"x\" { a: \"b\" ",
     "1:30: error[E0008]: expected `}` to close the `{` at 1:22\n"},
    {"let a, b, = c",
     "1:11: error[E0005]: expected a name after `,`, found `=`\n"},
    {"let x = (1)(2)",
     "1:9: error[E0005]: this cannot be called: it is not a function or module\n"
     "help: a product is written with `*`\n"},
    {"let x = 99999999999999999999",
     "1:9: error[E0004]: this integer is too large: whole numbers go up to 2^53\n"},
    {"use",
     "1:4: error[E0005]: expected a name or a text in quotes after `use`, found the end of the line\n"},
    {"use 3",
     "1:5: error[E0005]: expected a name or a text in quotes after `use`, found `3`\n"},
    {"predict p in { x: f32[B, P] } softmax(p.x)",
     "1:31: error[E0005]: expected `->` after `}`, found `softmax`\n"},
    {"let x = a +\n"
     "let y = 3",
     "1:12: error[E0005]: expected an expression after `+`, found the end of the line\n"},
    {"if a: \n"
     "  let x = 3",
     "1:5: error[E0005]: expected `{` after `a`, found `:`\n"
     "help: a block is written { ... }, without `:`\n"},
    {"return x if c else y",
     "1:10: error[E0005]: expected an operator or the end of the line after `x`, found `if`\n"
     "help: where(c, a, b) chooses between values\n"},
    {"dim B",
     "1:6: error[E0005]: expected `=` after `B`, found the end of the line\n"},
    {"let x = a ; let y = ;",
     "1:20: error[E0005]: expected an expression after `=`, found the end of the line\n"},
    {"let x = if a { b }",
     "1:19: error[E0005]: expected `else` after `}`, found the end of the line\n"},
    {"train d in s for 3 epochs with (a: 1) { update net minimize l using }",
     "1:68: error[E0005]: expected an expression after `using`, found the end of the line\n"},
    {"let x = x.[B, -> C]",
     "1:15: error[E0005]: expected a name, a number, `*` or `(` after `,`, found `->`\n"},
    {"let x = x.[B, (H E -> C]",
     "1:20: error[E0008]: expected `)` to close the `(` at 1:15, found `->`\n"},
    {"let x = x.[B, T + 1]",
     "1:17: error[E0008]: expected `,` or `]` to close the `.[` at 1:10, found `+`\n"},
    {"module M()(x: [B], y) -> [B] { return x }",
     "1:21: error[E0005]: expected `:` after `y`, found `)`\n"
     "help: an input has a shape: y: [B, D]\n"},
    {"module M()(x: [B] y: [C]) -> [B] { return x }",
     "1:19: error[E0008]: expected `,` or `)` to close the `(` at 1:11, found `y`\n"},
    {"module M(n: dimm)(x: [B]) -> [B] { return x }",
     "1:13: error[E0101]: there is no type `dimm`\n"
     "help: did you mean dim?\n"},
    {"param w = 3",
     "1:9: error[E0005]: expected `:` after `w`, found `=`\n"
     "help: a parameter says how it begins: param w: [O, I] = kaiming(fan: I)\n"},
    {"state w: [B]",
     "1:13: error[E0005]: expected `=` after `]`, found the end of the line\n"
     "help: a state says how it begins: state mean: [F] = zeros\n"},
    {"save highest",
     "1:13: error[E0005]: expected a name after `highest`, found the end of the line\n"},
    {"log",
     "1:1: error[E0304]: this value is computed and goes nowhere\n"
     "help: let x = ... names it, return gives it back, log prints it\n"},
    {"let x = a[1\n"
     "let y = b{2}",
     "1:12: error[E0008]: expected `]` to close the `[` at 1:10\n"
     "2:10: error[E0005]: expected an operator or the end of the line after `b`, found `{`\n"},
    {"let x = f(a\n"
     "  , b c)",
     "2:7: error[E0008]: expected `,` or `)` to close the `(` at 1:10, found `c`\n"},
    {"fn f(x) = {\n"
     "  let y = x\n"
     "  y, y\n"
     "}\n"
     "fn g(x) = {\n"
     "  x\n"
     "  let y = x\n"
     "}",
     "3:6: error[E0005]: one expression ends a block, not a list of 2\n"
     "help: `return a, b` gives several results of a module\n"
     "6:3: error[E0304]: this value is computed and goes nowhere\n"
     "help: let x = ... names it, return gives it back, log prints it\n"},
    {"use nn nn",
     "1:8: error[E0005]: expected the end of the line after `nn`, found `nn`\n"},
    {"for 3 in x { }",
     "1:5: error[E0005]: expected a name after `for`, found `3`\n"},
    {"eval e in { }",
     "1:11: error[E0005]: expected an expression after `in`, found `{`\n"},
    {"train d in s for 3 epochs with accumulate: 4 { }",
     "1:32: error[E0005]: expected `(` after `with`, found `accumulate`\n"},
    {"let x = f(g(h(1, 2), 3)\n"
     "let y = [1, 2\n"
     "let z = (3",
     "1:24: error[E0008]: expected `)` to close the `(` at 1:10\n"
     "2:14: error[E0008]: expected `]` to close the `[` at 2:9\n"
     "3:11: error[E0008]: expected `)` to close the `(` at 3:9\n"},
    {"return",
     "1:7: error[E0005]: expected an expression after `return`, found the end of the line\n"},
    {"a.b = 3",
     "1:1: error[E0005]: `=` gives a value to a name, and this is not a name\n"
     "help: a state is assigned with `<-`\n"},
    {"a + b <- 3",
     "1:1: error[E0005]: `<-` assigns to a state, and this is not a name\n"},
    {"a == 3 = 4",
     "1:1: error[E0005]: `=` gives a value to a name, and this is not a name\n"
     "help: `==` compares\n"},
    {"let x = \"ab\tc\" \"d\"",
     "1:16: error[E0005]: expected an operator or the end of the line after \"ab\tc\", found \"d\"\n"},
    {"print \"hello\"",
     "1:1: error[E0009]: there is no `print` in this language\n"
     "help: log name = ... prints a value\n"},
    {"data x = csv(\"f\") ->\n"
     "  { x: f32[B] }",
     "2:3: error[E0005]: a line cannot begin with `{`\n"
     "help: put it at the end of the line before\n"},
    {"let x = a\n"
     "  .foo",
     "2:3: error[E0005]: expected a statement, found `.`\n"},
    {"let x = a\n"
     "  + b",
     "2:3: error[E0005]: expected a statement, found `+`\n"
     "help: a line goes on when the one before ends in an operator, or this one begins with `|>`\n"},
    {"param: 3",
     "1:6: error[E0005]: expected an operator or the end of the line after `param`, found `:`\n"
     "help: `param` and `state` declare names with a type; `let` needs none\n"},
    {"let a = 1\n"
     "}\n"
     "let b = 2",
     "2:1: error[E0008]: nothing is open that this `}` could close\n"},
    {"let x = a $ b",
     "1:11: error[E0002]: `$` means nothing in this language\n"},
    {"let x = a \\\n"
     "  + b",
     "1:11: error[E0002]: `\\` means nothing in this language\n"
     "help: a line goes on after an operator, a comma or an open bracket, without `\\`\n"
     "2:3: error[E0005]: expected a statement, found `+`\n"
     "help: a line goes on when the one before ends in an operator, or this one begins with `|>`\n"},
    {"let x = \342\200\234a\342\200\235",
     "1:9: error[E0002]: `\342\200\234` (U+201C) means nothing in this language\n"
     "help: texts stand in plain quotes: \"\n"
     "1:13: error[E0002]: `\342\200\235` (U+201D) means nothing in this language\n"
     "help: texts stand in plain quotes: \"\n"},
    {"let x = a \342\211\244 b",
     "1:11: error[E0002]: `\342\211\244` (U+2264) means nothing in this language\n"
     "help: write `<=`\n"},
    {"let x = 1e999",
     "1:9: error[E0004]: this number is too large: the largest is about 1.8e308\n"},
    {"let x = x.[2.5 -> 1]",
     "1:12: error[E0004]: the size of an axis is a whole number\n"},
    {"let x = x.[0]",
     "1:12: error[E0004]: the size of an axis is at least 1\n"},
    {"let x = a, b",
     "1:10: error[E0005]: expected an operator or the end of the line after `a`, found `,`\n"},
    {"let x: int = 3",
     "1:6: error[E0005]: expected `=` or `,` after `x`, found `:`\n"
     "help: a `let` has no type of its own: it is that of its value\n"},
    {"param w: float[B] = zeros",
     "1:1: error[E0304]: `param` belongs in a module\n"
     "1:10: error[E0009]: there are no arrays of `float`\n"
     "help: did you mean f32?\n"},
    {"param w: dim = 3",
     "1:1: error[E0304]: `param` belongs in a module\n"
     "1:10: error[E0005]: `dim` is not a type of values\n"},
    {"module M()(x: f32) -> [B] { return x }",
     "1:15: error[E0005]: `x` has a type but no shape\n"
     "help: write x: f32[] for a single number\n"},
    {"module M()(x: float32[B]) -> f32 { return x }",
     "1:15: error[E0009]: there are no arrays of `float32`\n"
     "help: did you mean f32?\n"
     "1:30: error[E0005]: this type has no shape\n"
     "help: write f32[] for a single number\n"},
    {"module M()(x: [B]) -> [B] {\n"
     "  let y = (x\n"
     "  return y\n"
     "}\n"
     "let z = 3 +",
     "2:13: error[E0008]: expected `)` to close the `(` at 2:11\n"
     "5:12: error[E0005]: expected an expression after `+`, found the end of the line\n"},
    {"module M()(x: [B]) -> [B] {\n"
     "  if training {\n"
     "    return x\n"
     "  return x\n"
     "}",
     "5:2: error[E0008]: expected `}` to close the `{` at 1:27, found the end of the file\n"},
    {"train d in s for 3 steps {\n"
     "  let a = )\n"
     "  let b = f(1, 2\n"
     "  log a b\n"
     "  let c = 1\n"
     "}\n"
     "let d = ]",
     "2:11: error[E0005]: expected an expression after `=`, found `)`\n"
     "3:17: error[E0008]: expected `)` to close the `(` at 3:12\n"
     "4:9: error[E0005]: expected an operator or the end of the line after `a`, found `b`\n"
     "7:9: error[E0005]: expected an expression after `=`, found `]`\n"},
    {"fn f(x) {\n"
     "  let y = x +\n"
     "  y\n"
     "}\n"
     "let z = *",
     "1:9: error[E0005]: expected `=` after `)`, found `{`\n"
     "help: write fn f(x) = { ... }\n"
     "5:9: error[E0005]: expected an expression after `=`, found `*`\n"},
    {"x -= 3",
     "1:3: error[E0002]: there is no `-=` in this language\n"
     "help: a state is assigned with `x <- x - ...`\n"},
    {"let y = a ? b : c",
     "1:11: error[E0002]: there is no `?` in this language\n"
     "help: where(c, a, b) chooses between values\n"},
    {"lett y = 3",
     "1:6: error[E0005]: expected an operator or the end of the line after `lett`, found `y`\n"
     "help: did you mean `let`?\n"},
    {"let y = f(x => 3)",
     "1:13: error[E0002]: there is no `=>` in this language\n"
     "help: write `->`\n"},
    {"update net minimize loss",
     "1:25: error[E0005]: expected `using` after `loss`, found the end of the line\n"},
    {"update net minimize loss using adam, net.fc",
     "1:44: error[E0005]: expected `using` after `fc`, found the end of the line\n"},
    {"log a = ",
     "1:8: error[E0005]: expected an expression after `=`, found the end of the line\n"},
    {"weights net \"a\"",
     "1:13: error[E0005]: expected `from` after `net`, found \"a\"\n"},
    {"data = csv(\"a\")",
     "1:1: error[E0005]: `data` is set without `let`\n"
     "help: write let data = ...\n"},
    {"let = 3",
     "1:5: error[E0005]: expected a name after `let`, found `=`\n"},
    {"for i in 0..T, 3 { }",
     "1:14: error[E0005]: expected `carry`, `collect`, `remat` or `{` after `T`, found `,`\n"},
    {"use nn; module M()(x: [B]) -> [B] { let y = x; module N()(x: [B]) -> [B] { return x } ; return y }",
     "1:48: error[E0304]: `module` belongs at top level\n"},
    {"let x = f(a,, b)",
     "1:13: error[E0005]: expected an expression after `,`, found `,`\n"},
    {"let x = a |> g: 3",
     "1:17: error[E0005]: expected a name after `:`, found `3`\n"},
    {"let x = a |> f |> (b)",
     "1:19: error[E0005]: expected a function, a module or a label after `|>`, found `(`\n"},
    {"let x = \"a\" \"b\"",
     "1:13: error[E0005]: expected an operator or the end of the line after \"a\", found \"b\"\n"},
    {"let a.b = 3",
     "1:6: error[E0005]: expected `=` or `,` after `a`, found `.`\n"},
    {"freeze",
     "1:7: error[E0005]: expected an expression after `freeze`, found the end of the line\n"},
    {"if a { } else b",
     "1:15: error[E0005]: expected `if` or `{` after `else`, found `b`\n"},
    {"let x = (a |> f) + (b\n"
     "let y = 2",
     "1:22: error[E0008]: expected `)` to close the `(` at 1:20\n"},
    {"elif x { }",
     "1:1: error[E0009]: there is no `elif` in this language\n"
     "help: write } else if ... {\n"},
    {"let x = a[1:2:3]",
     "1:14: error[E0008]: expected `,` or `]` to close the `[` at 1:10, found `:`\n"
     "help: a slice is from:to, without a step\n"},
    {"let x = a and and b",
     "1:15: error[E0005]: expected an expression after `and`, found `and`\n"},
    {"let x = f(over K)",
     "1:16: error[E0008]: expected `,` or `)` to close the `(` at 1:10, found `K`\n"},
    {"let x = x.[B T]",
     "1:14: error[E0008]: expected `,` or `]` to close the `.[` at 1:10, found `T`\n"},
    {"let x = a -> b",
     "1:11: error[E0005]: expected an operator or the end of the line after `a`, found `->`\n"},
    {"save best accuracy",
     "1:6: error[E0005]: expected `highest`, `lowest` or the end of the line after `save`, found `best`\n"},
    {"every epochs { }",
     "1:14: error[E0005]: expected `steps` or `epochs` after `epochs`, found `{`\n"},
    {"let x = f(1 2)",
     "1:13: error[E0008]: expected `,` or `)` to close the `(` at 1:10, found `2`\n"
     "help: a comma stands between two values, `*` in a product\n"},
    {"let x = [1 2]",
     "1:12: error[E0008]: expected `,` or `]` to close the `[` at 1:9, found `2`\n"
     "help: a comma stands between two values, `*` in a product\n"},
    {"return a b",
     "1:10: error[E0005]: expected an operator or the end of the line after `a`, found `b`\n"},
    {"dim 3 = 4",
     "1:5: error[E0005]: expected a name after `dim`, found `3`\n"},
    {"dim B: 64",
     "1:6: error[E0005]: expected `=` after `B`, found `:`\n"},
    {"data d = csv(\"a\") -> { x }",
     "1:26: error[E0005]: expected `:` after `x`, found `}`\n"},
    {"predict p in s -> p",
     "1:14: error[E0005]: expected `{` after `in`, found `s`\n"},
};

/* The head and help lines of everything reported for a text, without the file's name. */
static char *messages_of(const char *text, size_t length, Arena *arena) {
  Diagnostics *d = diagnostics_new();
  Source source = {.path = "m.mt", .text = text, .length = length};
  parse(&source, arena, d);
  char *printed = NULL;
  size_t size;
  FILE *f = open_memstream(&printed, &size);
  diagnostics_print(d, f, false);
  fclose(f);
  Text out = {0};
  text_add(&out, "%s", "");
  for (char *line = strtok(printed, "\n"); line; line = strtok(NULL, "\n")) {
    if (!strncmp(line, "m.mt:", 5)) text_add(&out, "%s\n", line + 5);
    else if (!strncmp(line, "help: ", 6)) text_add(&out, "%s\n", line);
  }
  free(printed);
  diagnostics_free(d);
  return text_take(&out, arena);
}

START_TEST(says_what_is_wrong) {
  Arena *arena = arena_new();
  ck_assert_str_eq(messages_of(errors[_i].text, strlen(errors[_i].text), arena), errors[_i].messages);
  arena_free(arena);
}
END_TEST

/* The message for `text`, `times` of `middle` and `end`. */
static char *repeated(const char *text, const char *middle, int times, const char *end, Arena *arena) {
  Text whole = {0};
  text_add(&whole, "%s", text);
  for (int i = 0; i < times; i++) text_add(&whole, "%s", middle);
  text_add(&whole, "%s", end);
  char *all = text_take(&whole, arena);
  return messages_of(all, strlen(all), arena);
}

START_TEST(has_limits) {
  Arena *arena = arena_new();
  ck_assert_str_eq(repeated("let a = ", "(", 256, "x", arena),
                   "1:266: error[E0008]: expected `)` to close the `(` at 1:264\n");
  ck_assert_str_eq(repeated("let a = ", "(", 257, "x", arena),
                   "1:265: error[E0006]: brackets and blocks are nested more than 256 deep here\n");
  ck_assert_str_eq(repeated("let a = x", " + x", 5000, "", arena),
                   "1:16391: error[E0006]: this expression is more than 4096 levels deep\n"
                   "help: give parts of it names: let a = ..., let b = a + ...\n");
  ck_assert_ptr_nonnull(strstr(repeated("let a = ", "- ", 20000, "x", arena),
                               "error[E0006]: this is nested too deeply to be read\n"));
  ck_assert_str_eq(repeated("let a = ", "x", 256, "", arena),
                   "1:9: error[E0006]: this name has 256 letters; at most 255 are allowed\n");
  ck_assert_str_eq(repeated("let a = \"", "x", 70000, "\"", arena),
                   "1:9: error[E0006]: this text has 70002 bytes; at most 65536 are allowed\n");
  ck_assert_str_eq(repeated("", "let a = 1\n", 110000, "", arena),
                   "1:1: error[E0006]: this file has 1100000 bytes; at most 1048576 are read\n");
  ck_assert_str_eq(repeated("let a = x", " ^ x", 3000, "", arena), "");
  arena_free(arena);
}
END_TEST

START_TEST(refuses_what_is_not_text) {
  Arena *arena = arena_new();
  ck_assert_str_eq(messages_of("let a = 1\nlet\0b", 15, arena),
                   "2:4: error[E0002]: a NUL byte: this is not a text file\n");
  ck_assert_str_eq(messages_of("let a = \xFF", 9, arena), "1:9: error[E0002]: the byte 0xFF is not UTF-8\n");
  ck_assert_str_eq(messages_of("let a = 1\rlet", 13, arena),
                   "1:10: error[E0002]: a control character (0x0D) cannot stand here\n");
  ck_assert_str_eq(messages_of("let a =\xC2\xA0" "1", 10, arena),
                   "1:8: error[E0002]: this is a no-break space (U+00A0)\nhelp: write an ordinary space\n");
  arena_free(arena);
}
END_TEST

Suite *syntax_errors_suite(void) {
  Suite *s = suite_create("syntax errors");
  TCase *t = tcase_create("syntax errors");
  tcase_add_loop_test(t, says_what_is_wrong, 0, sizeof errors / sizeof *errors);
  tcase_add_test(t, has_limits);
  tcase_add_test(t, refuses_what_is_not_text);
  suite_add_tcase(s, t);
  return s;
}
