"""Imports point down only: the layers of the house, held by a test.

Lazy imports and those for type checkers count like any other: a dependency that must hide is one that
should not be. The checker reads source text and nothing else, so a fake tree of a few lines proves that
it can fail.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = (
    ("eventlog",),
    ("projections",),
    (
        "server.errors",
        "server.config",
        "server.homeserver",
        "server.patrol",
        "server.rate_limits",
        "server.appservices.registration",
    ),
    ("server.writer", "server.restore_points"),
    ("server.rooms",),
    ("server.users",),
    ("server.crypto",),
    ("server.ephemeral",),
    ("server.media",),
    ("server.sync",),
    ("server.appservices",),
    ("server.http",),
    ("server.api",),
    ("server.metrics",),
    ("server.app",),
    ("server.cli", "bench.torture"),  # one verb of the command line is made of it
)
"""From the bottom: what stands in a layer may import its own layer and those before it."""

CONFINED = {
    "httpx": ("server.appservices",),
    "prometheus_client": ("server.metrics",),
    "starlette": ("server.http", "server.api", "server.app"),
    "lmdb": (
        "eventlog.lmdb_log",
        "eventlog.lmdb_file",
        "projections.view",
        "projections.views",
        "projections.restore_points",
    ),
}
"""Libraries that only these modules may know."""

Sources = Mapping[str, str]
"""Dotted module names and their source text; a package goes by its own name."""


def sources_of(root: Path, packages: Sequence[str]) -> dict[str, str]:
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path.read_text()
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }


def is_within(module: str, place: str) -> bool:
    return module == place or module.startswith(place + ".")


def layer_of(module: str) -> int | None:
    for height, places in enumerate(LAYERS):
        if any(is_within(module, place) for place in places):
            return height
    return None


def imports_of(source: str) -> Iterator[tuple[str, ...]]:
    """What each import could mean: `from a import b` is the module `a.b` or, failing that, `a`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = "." * node.level + (node.module or "")
            yield from ((f"{package}.{alias.name}", package) for alias in node.names)


def imports_in(sources: Sources) -> dict[str, set[str]]:
    """The modules that each module imports, of the project or of anybody."""
    return {
        module: {
            next((name for name in meanings if name in sources), meanings[-1])
            for meanings in imports_of(source)
        }
        for module, source in sources.items()
    }


def upward_imports(sources: Sources) -> Iterator[str]:
    for module, imported in imports_in(sources).items():
        own = layer_of(module)
        for other in sorted(imported):
            height = layer_of(other)
            if own is not None and height is not None and height > own:
                yield (
                    f"{module} imports {other}, which stands above it: "
                    f"hand the value down as an argument, or move the code that needs it up"
                )


def sibling_imports(sources: Sources, package: str) -> Iterator[str]:
    for module, imported in imports_in(sources).items():
        for other in sorted(imported):
            if is_within(module, package) and package != module != other and other.startswith(package + "."):
                yield (
                    f"{module} imports its sibling {other}: what both need is a decision (server/rooms …), "
                    f"plumbing (server/http) or reading (a projection); move it there"
                )


def cycles(sources: Sources) -> Iterator[str]:
    graph = {
        module: {other for other in imported if other in sources and other != module}
        for module, imported in imports_in(sources).items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " <- ".join(error.args[1])
        yield f"a cycle of imports, {circle}: move what they share into a module below all of them"


def strayed_libraries(sources: Sources) -> Iterator[str]:
    for module, imported in imports_in(sources).items():
        for library, places in CONFINED.items():
            knows = any(is_within(other, library) for other in imported)
            if knows and not any(is_within(module, place) for place in places):
                yield f"{module} imports {library}, which only {', '.join(places)} may know"


def homeless_modules(sources: Sources) -> Iterator[str]:
    for module in sources:
        if module != "server" and layer_of(module) is None:
            yield f"{module} stands in no layer: put it into one, or give it one in {Path(__file__).name}"


def silent_modules(sources: Sources) -> Iterator[str]:
    for module, source in sources.items():
        if not ast.get_docstring(ast.parse(source)):
            yield f"{module} has no docstring: say in its first lines why it exists"


def relative_imports(sources: Sources) -> Iterator[str]:
    for module, imported in imports_in(sources).items():
        for other in sorted(imported):
            if other.startswith("."):
                yield f"{module} imports {other}: write the full name, which says what layer it is in"


def assert_none(findings: Iterator[str]) -> None:
    listed = list(findings)
    assert not listed, "\n".join(listed)


@pytest.fixture(scope="module")
def house() -> dict[str, str]:
    return sources_of(ROOT, ("eventlog", "projections", "server", "bench/torture"))


def test_imports_point_down_only(house: Sources) -> None:
    assert_none(upward_imports(house))


def test_endpoints_do_not_import_siblings(house: Sources) -> None:
    assert_none(sibling_imports(house, "server.api"))


def test_imports_make_no_cycle(house: Sources) -> None:
    assert_none(cycles(house))


def test_libraries_stay_in_their_rooms(house: Sources) -> None:
    assert_none(strayed_libraries(house))


def test_imports_are_absolute(house: Sources) -> None:
    assert_none(relative_imports(house))


def test_every_module_stands_in_a_layer(house: Sources) -> None:
    assert_none(homeless_modules(house))


def test_every_module_says_why_it_exists() -> None:
    assert_none(silent_modules(sources_of(ROOT, ("eventlog", "projections", "server", "bench", "tests"))))


def test_the_whole_house_is_read(house: Sources) -> None:
    assert {"eventlog", "eventlog.log", "projections.facts", "server.config", "server.cli"} <= house.keys()


@pytest.mark.parametrize(
    "statement",
    [
        "import server.writer",
        "import server.writer as below",
        "from server import writer",
        "from server.writer import write",
        "def later() -> None:\n    from server.writer import write",
        "if TYPE_CHECKING:\n    import server.writer",
    ],
)
def test_an_upward_import_is_found(statement: str) -> None:
    sources = {"server": "", "server.writer": "", "projections.state": statement}
    [finding] = upward_imports(sources)
    assert finding.startswith("projections.state imports server.writer, which stands above it")


def test_a_downward_import_is_no_finding() -> None:
    assert not list(upward_imports({"eventlog.log": "", "server.writer": "import eventlog.log"}))


def test_a_sibling_import_is_found() -> None:
    sources = {"server.api": "", "server.api.keys": "", "server.api.sync": "from server.api import keys"}
    [finding] = sibling_imports(sources, "server.api")
    assert finding.startswith("server.api.sync imports its sibling server.api.keys")


def test_a_package_may_list_its_modules() -> None:
    sources = {"server.api": "from server.api import keys", "server.api.keys": "import server.http"}
    assert not list(sibling_imports(sources, "server.api"))


def test_a_cycle_is_found() -> None:
    sources = {"eventlog.a": "import eventlog.b", "eventlog.b": "from eventlog.a import x"}
    [finding] = cycles(sources)
    assert finding.startswith("a cycle of imports, eventlog.")


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("server.rooms.sending", "from starlette.requests import Request"),
        ("eventlog.memory_log", "import lmdb"),
        ("projections.viewstore", "import lmdb"),
    ],
)
def test_a_strayed_library_is_found(module: str, statement: str) -> None:
    [finding] = strayed_libraries({module: statement})
    assert finding.startswith(f"{module} imports ")


def test_a_relative_import_is_found() -> None:
    [finding] = relative_imports({"server.api.sync": "from ..writer import write"})
    assert finding.startswith("server.api.sync imports ..writer")


def test_a_module_outside_all_layers_is_found() -> None:
    [finding] = homeless_modules({"server": "", "server.helpers": ""})
    assert finding.startswith("server.helpers stands in no layer")


def test_a_module_without_docstring_is_found() -> None:
    [finding] = silent_modules({"server.api.sync": "x = 1", "server.api.keys": '"""Why."""'})
    assert finding.startswith("server.api.sync has no docstring")
