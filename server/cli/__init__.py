"""The command line, one module per verb: `serve`, and what looks into a log or puts it right.

Verbs print one line per thing on stdout, stable enough for `grep`; progress and errors go to stderr.
`outcome.py` has the exit statuses. May import anything, also what `torture` is made of in `bench/torture`;
nothing imports it.
"""

import typer

from server.cli.backup import backup
from server.cli.check import check
from server.cli.erase import erase
from server.cli.export import export
from server.cli.head import head
from server.cli.import_log import import_log
from server.cli.rebuild import rebuild
from server.cli.restore import restore
from server.cli.salvage import salvage
from server.cli.serve import serve
from server.cli.show import show
from server.cli.state import state
from server.cli.torture import torture
from server.cli.user import user
from server.cli.version import version

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,  # plain help: the same text in a pipe as on a terminal
    pretty_exceptions_enable=False,  # they show local variables, among which there are secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def roomlog(context: typer.Context) -> None:
    """A durable backend for Matrix rooms on one append-only log.

    \b
    Example:
      roomlog serve                   a server on 127.0.0.1:8008, its log in ./data
      roomlog show --follow           in another terminal: what it writes, as it comes
      roomlog check                   is every entry what was written?
      roomlog COMMAND --help          an example for each command
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("serve")(serve)
app.add_typer(user, name="user")
app.command("erase")(erase)
app.command("show")(show)
app.command("state")(state)
app.command("check")(check)
app.command("head")(head)
app.command("backup")(backup)
app.command("restore")(restore)
app.command("salvage")(salvage)
app.command("rebuild")(rebuild)
app.command("export")(export)
app.command("import")(import_log)
app.command("torture")(torture)
app.command("version")(version)


def main() -> None:
    """The console script."""
    app()
