"""The pages of the reference, written from the source of the library: signatures and docstrings, nothing else.

Each package becomes one page. Signatures are those of the source, with the shapes of all arrays, as in
`tests/public_api.txt`. Docstrings of this library are plain text: an indented block is an equation or a table, `name`
is code, and Args, Returns and Raises are lists of names. Here they become reStructuredText.
"""

import ast
import copy
import functools
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1] / "ebmjax"
SECTIONS = ("Args:", "Returns:", "Raises:", "Yields:", "Fields:")
CORE = ("types", "temperature", "loops", "random_bits", "graphs", "lattices", "states", "gaussian", "optimizers")
GROUPS = {
    "Models": ["ebmjax.energies", "ebmjax.networks"],
    "Minimize": ["ebmjax.minimize"],
    "Marginalize": ["ebmjax.marginalize", "ebmjax.likelihoods"],
    "Sample": ["ebmjax.sample", "ebmjax.diagnostics"],
    "Learn": ["ebmjax.losses", "ebmjax.learn"],
    "Problems": ["ebmjax.problems"],
    "What all of them share": ["ebmjax"],
}
"""The packages under each heading of the first page; the packages inside of them follow."""


def write(folder):
    """Write all pages to `folder`; one that has not changed keeps its time, so that Sphinx does not read it again."""
    texts = pages()
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.rst"):
        if path.stem not in texts:
            path.unlink()


def pages():
    """The text of every page: one for each package, with all modules in it, the first page, and the signatures."""
    found = {"index": index(), "signatures": signatures()}
    for package in packages():
        inside = [name for name in modules() if name.rpartition(".")[0] == package and name not in packages()]
        inside.sort(key=lambda name: (name.rpartition(".")[2] not in CORE, name))
        heading = [package, "=" * len(package), ""]
        found[package] = "\n".join([*heading, text_of_module(package), *map(text_of_module, inside)])
    return found


@functools.cache
def packages():
    """The packages of the library, the outer ones first."""
    return [name for name, path in modules().items() if path.name == "__init__.py"]


@functools.cache
def modules():
    """The file of every module of the library, by its dotted name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def parsed(module):
    """The syntax tree of a module."""
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def index():
    """The first page: the packages, grouped by the question that they answer."""
    lines = ["Reference", "=========", "", "Every public name, from the docstrings of the source.", ""]
    lines += ["Names of every day are also found directly in ``ebmjax``:", ""]
    lifted = [name for name, target in aliases().items() if name.count(".") == 1 and target not in modules()]
    lines += [" ".join(f":py:obj:`~{aliases()[name]}`" for name in sorted(lifted)), ""]
    for title, names in GROUPS.items():
        inside = [name for outer in names for name in packages() if (name + ".").startswith(outer + ".")]
        inside = ["ebmjax"] if names == ["ebmjax"] else inside
        lines += [".. toctree::", f"   :caption: {title}", "   :maxdepth: 2", "", *indented(inside), ""]
    return "\n".join([*lines, ".. toctree::", "   :caption: All signatures", "", "   signatures", ""])


def signatures():
    """The golden table of the tests."""
    heading = "All signatures\n==============\n\n"
    said = "A test compares this table with the source, so that a change of the interface is seen.\n\n"
    return heading + said + ".. literalinclude:: ../../tests/public_api.txt\n   :language: text\n"


@functools.cache
def text_of_module(module):
    """One module: its docstring, then everything public in it. A package has only its docstring."""
    tree = parsed(module)
    title = module.rpartition(".")[2]
    heading = [] if module in packages() else ["", title, "-" * len(title)]
    lines = [*heading, "", f".. py:module:: {module}", "", *text_of(ast.get_docstring(tree) or "")]
    for entry, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        lines += entry_of(module, entry, following)
    return "\n".join(lines) + "\n"


def entry_of(module, node, following):
    """The lines of one definition of a module, or none where it is private or no definition."""
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
        return ["", *function(module, node, "py:function")]
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
        return ["", *class_of(module, node)]
    said = following.value.value if is_string(following) else None
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and not target.id.startswith("_") and target.id != "__all__":
            value = ast.unparse(node.value) if node.value is not None else ""
            lines = [f".. py:data:: {target.id}"]
            lines += [f"   :value: {value}"] if value and len(value) < 80 else []
            return ["", *lines, "", *indented(text_of(said or ""))]
    return []


def function(module, node, directive):
    """A function or a method."""
    for_methods = {"staticmethod": "   :staticmethod:", "classmethod": "   :classmethod:"}
    options = [for_methods[ast.unparse(name)] for name in node.decorator_list if ast.unparse(name) in for_methods]
    return [
        f".. {directive}:: {signature(module, node)}",
        *options,
        "",
        *indented(text_of(ast.get_docstring(node) or "")),
    ]


def signature(module, node):
    """Name, arguments with their shapes, and what is returned."""
    arguments = qualified(module, node.args)
    if arguments.split(",")[0].strip() in ("self", "cls"):
        arguments = arguments.partition(",")[2].strip().removeprefix("/").removeprefix(",").strip()
    returns = f" -> {qualified(module, node.returns)}" if node.returns else ""
    return f"{node.name}({arguments}){returns}"


def qualified(module, node):
    """The text of types, each type of the library with its full name: several have the same short one."""
    names = names_in(module)

    class Full(ast.NodeTransformer):
        def visit_Name(self, node):
            return ast.Name(names.get(node.id, node.id))

        def visit_arguments(self, node):  # not the defaults, which read better as they are
            every = [*node.posonlyargs, *node.args, *node.kwonlyargs, node.vararg, node.kwarg]
            for argument in every:
                if argument is not None and argument.annotation is not None:
                    argument.annotation = self.visit(argument.annotation)
            return node

    return ast.unparse(Full().visit(copy.deepcopy(node)))


@functools.cache
def names_in(module):
    """The types of the library that a module names: its own, and those that it imports."""
    defined = [node for node in parsed(module).body if isinstance(node, ast.ClassDef | ast.Assign | ast.AnnAssign)]
    own = {name: f"{module}.{name}" for node in defined for name in defined_by(node)}
    for node in parsed(module).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ebmjax"):
            own |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    return {short: aliases().get(full, full) for short, full in own.items()}


def class_of(module, node):
    """A record or a protocol: its docstring, its fields, its methods."""
    bases = ", ".join(qualified(module, base) for base in node.bases)
    lines = [f".. py:class:: {node.name}" + (f"({bases})" if bases else ""), ""]
    lines += indented(text_of(ast.get_docstring(node) or ""))
    for entry, following in zip(node.body, [*node.body[1:], None], strict=True):
        inside = []
        if isinstance(entry, ast.AnnAssign):
            inside = [
                f".. py:attribute:: {ast.unparse(entry.target)}",
                f"   :type: {qualified(module, entry.annotation)}",
            ]
            inside += [f"   :value: {ast.unparse(entry.value)}"] if entry.value is not None else []
            inside += ["", *indented(text_of(following.value.value if is_string(following) else ""))]
        elif isinstance(entry, ast.FunctionDef) and (not entry.name.startswith("_") or entry.name == "__call__"):
            inside = function(module, entry, "py:method")
        lines += ["", *indented(inside)] if inside else []
    return lines


def is_string(node):
    """Whether a node is a string that stands alone, which explains what stands above it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def indented(lines):
    """The lines, three columns to the right."""
    return [f"   {line}" if line else "" for line in lines]


def text_of(docstring):
    """A docstring as reStructuredText, paragraph by paragraph."""
    lines = []
    paragraphs = re.split(r"\n[ \t]*\n", textwrap.dedent(_even(docstring)).strip("\n"))
    while paragraphs:
        paragraph = paragraphs.pop(0)
        first = paragraph.lstrip("\n").splitlines()[0] if paragraph.strip() else ""
        if first.strip() in SECTIONS:
            while paragraphs and paragraphs[0].startswith("    "):  # a section with a blank line in it
                paragraph += "\n" + paragraphs.pop(0)
            lines += section(paragraph.splitlines())
        elif first.startswith(">>>"):
            lines += [*paragraph.splitlines(), ""]
        elif first.startswith("    ") or is_table(paragraph):
            while paragraphs and paragraphs[0].startswith("    "):
                paragraph += "\n\n" + paragraphs.pop(0)
            lines += ["::", "", *indented(textwrap.dedent(paragraph).splitlines()), ""]
        elif first.startswith("- "):
            lines += [f"- {inline(' '.join(item.split()))}" for item in re.split(r"\n?^- ", paragraph, flags=re.M)[1:]]
            lines += [""]
        elif first:
            ended = re.match(r"(.*?):\s*\n(    .*)", paragraph, re.S)  # an equation right below its sentence
            if ended and "\n" not in ended[1].strip("\n"):
                lines += [inline(ended[1]) + ":", "", "::", "", *indented(textwrap.dedent(ended[2]).splitlines()), ""]
            else:
                lines += [inline(" ".join(paragraph.split())), ""]
    return lines


def _even(docstring):
    """The docstring with its first line in the same column as the others."""
    first, _, rest = docstring.partition("\n")
    return first.strip() + "\n" + textwrap.dedent(rest) if rest else first.strip()


def is_table(paragraph):
    """Whether two lines or more have columns."""
    return sum(bool(re.search(r"\S {3,}\S", line)) for line in paragraph.splitlines()) >= 2


def section(lines):
    """Args, Returns or Raises: names with what is said of them."""
    title, body = lines[0].strip().rstrip(":"), textwrap.dedent("\n".join(lines[1:])).splitlines()
    entries = []
    for line in body:
        if line.startswith(" ") and entries:
            entries[-1] += " " + line.strip()
        elif line.strip():
            entries.append(line.strip())
    if title == "Returns":
        return [f":Returns: {inline(' '.join(entries))}", ""]
    named = [entry.partition(": ") for entry in entries]
    rows = [f"   - ``{name}``: {inline(rest)}" if rest else f"   - {inline(name)}" for name, _, rest in named]
    return [f":{'Arguments' if title == 'Args' else title}:", *rows, ""]


def inline(text):
    """One paragraph: `code` becomes literal, all other characters mean themselves."""
    pieces = re.split(r"(`[^`]+`)", text)
    made = []
    for before, piece, after in zip(["", *pieces], pieces, [*pieces[1:], ""], strict=False):
        if piece.startswith("`") and piece.endswith("`") and len(piece) > 2:
            close = "\\ " if re.match(r"\w", after) else ""
            made.append(("\\ " if re.search(r"\w$", before) else "") + f"``{piece[1:-1].strip()}``" + close)
        else:
            made.append(re.sub(r"([\\*_|`])", r"\\\1", piece))
    text = "".join(made)
    return "\\" + text if re.match(r"([-+•] |\d+[.)] |\(?\w[.)] |\.\. |:\w)", text) else text


def line_of(module, name):
    """Where a name, or a field or method `Class.name`, is defined in its module; None where it is not found."""
    body, line = parsed(module).body, None
    for part in name.split("."):
        found = [node for node in body if part in defined_by(node)]
        if not found:
            return None
        line, body = found[0].lineno, getattr(found[0], "body", [])
    return line


def defined_by(node):
    """The names that a statement defines."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [node.name] if hasattr(node, "name") else [target.id for target in targets if isinstance(target, ast.Name)]


def write_sources(folder):
    """The source of every module as a page with numbered lines."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    folder.mkdir(exist_ok=True)
    for module, path in modules().items():
        page, source = folder / f"{module}.html", path.read_text(encoding="utf-8")
        look = HtmlFormatter(full=True, title=module, linenos="inline", lineanchors="line", style="friendly")
        page.write_text(highlight(source, PythonLexer(), look), encoding="utf-8")


@functools.cache
def aliases():
    """The names that packages lift: where each of them is defined."""
    found = {}
    for module, path in modules().items():
        if path.name == "__init__.py":
            for node in parsed(module).body:
                if isinstance(node, ast.ImportFrom):
                    found |= {
                        f"{module}.{name.asname or name.name}": f"{node.module}.{name.name}" for name in node.names
                    }
    return found


@functools.cache
def definitions():
    """Every name that the reference describes, without fields and methods."""
    names = set(modules())
    for module in modules():
        for line in text_of_module(module).splitlines():
            match = re.match(r"\.\. py:(function|class|data):: (\w+)", line)
            names |= {f"{module}.{match[2]}"} if match else set()
    return names


def target_of(text):
    """The full name that `ebm.some.name` stands for, or None where there is no such name."""
    match = re.fullmatch(r"(?:ebm|ebmjax)\.([\w.]+)(\(.*\))?", text)
    if match is None:
        return None
    name = f"ebmjax.{match[1]}"
    for _ in range(3):
        name = aliases().get(name, name)
    return name if name in definitions() else None
