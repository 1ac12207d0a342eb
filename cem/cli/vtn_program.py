"""`cem vtn program`: the programs of a running VTN."""

import click

from cem.cli.vtn_print import json_option, print_all, print_one
from cem.cli.vtn_rest import Access, Vtn, access_options, every, fetched_by_name, removed_by_name, run, shown
from cem.wire.openadr3 import Program, ProgramRequest


@click.group()
def program() -> None:
    """Programs of the VTN.

    Example: cem vtn program add limits
    """


@program.command("add")
@click.argument("name")
@click.option("--target", "targets", multiple=True, help="Only VENs that were granted it see the program; repeatable.")
@access_options
@json_option
def program_add(name: str, targets: tuple[str, ...], access: Access, as_json: bool) -> None:
    """Makes a program.

    Example: cem vtn program add limits
    """

    async def work() -> Program:
        async with Vtn(access) as vtn:
            return await vtn.create(Program, "programs", ProgramRequest(program_name=name, targets=targets))

    made = run(work())
    print_one(made, as_json, f"{made.id}  {made.program_name}")


@program.command("list")
@access_options
@json_option
def program_list(access: Access, as_json: bool) -> None:
    """Lists the programs.

    Example: cem vtn program list --json
    """
    found = run(every(access, Program, "programs"))
    print_all(found, as_json, [f"{one.id}  {one.program_name}" for one in found])


@program.command("show")
@click.argument("name")
@access_options
def program_show(name: str, access: Access) -> None:
    """Prints a program as JSON.

    Example: cem vtn program show limits
    """
    click.echo(shown(run(fetched_by_name(access, Program, "programs", "programName", name))))


@program.command("remove")
@click.argument("name")
@access_options
@json_option
def program_remove(name: str, access: Access, as_json: bool) -> None:
    """Removes a program that has no events any more.

    Example: cem vtn program remove limits
    """
    gone = run(removed_by_name(access, Program, "programs", "programName", name))
    print_one(gone, as_json, f"removed {gone.id}  {gone.program_name}")
