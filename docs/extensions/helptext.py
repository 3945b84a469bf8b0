"""The directive `helptext`: what ``normfast COMMAND ... --help`` prints."""

import os
from argparse import ArgumentParser, _SubParsersAction
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from normfast import cli


def parser_of(words: list[str]) -> ArgumentParser:
    """The parser of a command, such as `apply layer_norm`."""
    parser = cli.parser()
    for word in words:
        (commands,) = (a for a in parser._actions if isinstance(a, _SubParsersAction))
        parser = commands.choices[word]
    return parser


class HelpText(Directive):
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        parser = parser_of(" ".join(self.arguments).split())
        with mock.patch.dict(os.environ, COLUMNS="88", NO_COLOR="1"):
            text = parser.format_help()
        return [nodes.literal_block(text, text, language="none")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("helptext", HelpText)
    return {"parallel_read_safe": True}
