"""MkDocs' hooks: the pages that are no file in docs/, and a check that pages ask no other host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc, isfunction
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import calibrant
from calibrant.cli import cli

ROOT = Path(__file__).resolve().parents[1]
# Where the documents beside docs/ stand in the site.
OUTSIDE = {
    "README.md": "index.md",
    "README.zh-CN.md": "zh-CN.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "LICENSE": "license.md",
}
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
_REQUEST = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^\"'\s>]+")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every page of a folder where the navigation names the folder."""
    folders = {"cli/": _entries_of_commands(), "adr/": _entries_of_decisions()}
    config.nav = _unfolded(config.nav, folders)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents beside docs/, a page for each command, and one for Python."""
    for source, target in OUTSIDE.items():
        text = (ROOT / source).read_text("utf-8")
        page = (
            _LINK.sub(_from_the_root, text) if source.endswith(".md") else f"# {source}\n```text\n{text}```\n"
        )
        files.append(File.generated(config, target, content=page))
    for name, command in _commands(cli, "calibrant"):
        files.append(File.generated(config, _page_of(name), content=_reference(name, command)))
    files.append(File.generated(config, "python.md", content=_python()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to the documents beside docs/ to their pages."""
    up = "../" * page.file.src_uri.count("/")
    links = "|".join(map(re.escape, OUTSIDE))
    return re.sub(rf"\]\({re.escape(up)}\.\./({links})", lambda link: f"]({up}{OUTSIDE[link[1]]}", markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse pages that would load something from another host."""
    pages = list(Path(config.site_dir).rglob("*.html"))
    found = [f"{page.name}: {hit}" for page in pages for hit in _REQUEST.findall(page.read_text("utf-8"))]
    if found:
        raise PluginError(f"{len(found)} requests to other hosts, e.g. {found[0]}")


def _unfolded(nav: Any, folders: dict[str, Any]) -> Any:
    if isinstance(nav, list):
        return [_unfolded(entry, folders) for entry in nav]
    if isinstance(nav, dict):
        return {title: _unfolded(entry, folders) for title, entry in nav.items()}
    return folders.get(nav, nav)


def _entries_of_commands() -> list[dict[str, str]]:
    return [{name.removeprefix("calibrant "): _page_of(name)} for name, _ in _commands(cli, "calibrant")]


def _entries_of_decisions() -> list[dict[str, str]]:
    pages = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    titles = [page.read_text("utf-8").partition("\n")[0].removeprefix("# ") for page in pages]
    entries = [{title: f"adr/{page.name}"} for title, page in zip(titles, pages, strict=True)]
    return [{"All of them": "adr/README.md"}, *entries]


def _from_the_root(link: re.Match[str]) -> str:
    """A link of a document in the root, seen from the site; what is not in the site stays as it is."""
    target = link[1]
    return "](" + OUTSIDE.get(target, target.removeprefix("docs/"))


def _commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    for own, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{name} {own}")
        else:
            yield f"{name} {own}", command


def _page_of(name: str) -> str:
    return f"cli/{'-'.join(name.split()[1:])}.md"


def _reference(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, max_content_width=200)
    usage = command.get_usage(context).removeprefix("Usage: ")
    help_ = cleandoc(command.help or "").replace("\b\n", "")
    lines = [f"# {name}", "", help_, "", "```text", usage, "```", "", "| option | |", "|---|---|"]
    options = (option for option in command.get_params(context) if isinstance(option, click.Option))
    records = filter(None, (option.get_help_record(context) for option in options))
    rows = [f"| `{_in_a_cell(shown)}` | {_in_a_cell(words)} |" for shown, words in records]
    return "\n".join([*lines, *rows, ""])


def _in_a_cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _python() -> str:
    """Functions in the order of their commands, then classes."""
    order = {name: place for place, name in enumerate(cli.commands)}
    functions = [name for name in calibrant.__all__ if isfunction(getattr(calibrant, name))]
    functions.sort(key=lambda name: order.get(name, len(order)))
    names = [*functions, *(name for name in calibrant.__all__ if isinstance(getattr(calibrant, name), type))]
    homes = [f"{(found := getattr(calibrant, name)).__module__}.{found.__qualname__}" for name in names]
    begin = "# Python\n\nAll of these are in `calibrant` itself: `calibrant.study(...)`.\n"
    return "\n".join([begin, *(f"::: {home}\n" for home in (*homes, "calibrant.testing"))])
