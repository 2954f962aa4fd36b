"""A command line made with click, whose errors are told without a traceback."""

import click


@click.command()
@click.argument("rate", type=float)
def convert(rate):
    if rate <= 0:
        raise click.ClickException(f"a rate is positive, not {rate}")
    click.echo(100 / rate)


convert()
