"""An error that is raised from another one, while a third was handled."""


class LoadError(Exception):
    """A table that cannot be loaded."""


def column(table, name):
    try:
        return table[name]
    except KeyError as error:
        raise LookupError(f"no column {name!r} among {len(table)}") from error


def refuse(reason):
    raise LoadError(reason)


def load(table):
    try:
        return column(table, "price")
    except LookupError:
        refuse("table 17 of /var/data/2024/tables.db cannot be loaded")


load({"id": [1, 2], "cost": [3.5, 4.5]})
