"""Tables on the terminal: columns side by side, without lines."""

from __future__ import annotations

from rich.table import Table


def plain_table(title: str | None = None) -> Table:
    """A table with bold heads, two spaces between its columns, and nothing around it."""
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.collapse_padding, table.show_header, table.header_style = False, True, "bold"
    if title is not None:
        table.title, table.title_justify, table.title_style = title, "left", ""
    return table
