"""The command that writes a run's report."""

from __future__ import annotations

from pathlib import Path

import click

from calibrant.cli.output import say


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--pdf", is_flag=True, help="Print it as PDF, by an installed Chromium, Chrome or Edge.")
@click.option("--markdown", is_flag=True, help="Write a summary in Markdown, for a pull request.")
@click.option("--out", type=click.Path(path_type=Path),
              help="File to write [default: report.html, .pdf or .md in RUN].")  # fmt: skip
def report(run: Path, pdf: bool, markdown: bool, out: Path | None) -> None:
    """Write the report of RUN as one HTML file: ranking, causes, histograms, images, settings.

    `calibrant study` writes it too, and diagnose, coverage and optimize write it again.
    """
    from calibrant import api

    if pdf and markdown:
        raise click.UsageError("Give --pdf or --markdown, not both.")
    form = "pdf" if pdf else "md" if markdown else "html"
    say(str(api.report(run, form=form, out=out)))
