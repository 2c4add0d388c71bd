"""The command line of a command: its help begins with `Usage:`, and misuse is one line and exit
status 2."""
import argparse
import textwrap

MISUSE = 2  # exit status


class Help(argparse.RawDescriptionHelpFormatter):
    def add_usage(self, usage, actions, groups, prefix=None):
        super().add_usage(usage, actions, groups, prefix or "Usage: ")


class Parser(argparse.ArgumentParser):
    """`command`: what is behind bin/archbench; `doc`: the docstring of its module."""

    def __init__(self, command, doc, **keywords):
        super().__init__(prog=f"archbench {command}", description=textwrap.dedent(doc),
                         formatter_class=Help, **keywords)

    def error(self, message):
        self.exit(MISUSE, f"{self.prog}: {message} (see --help)\n")
