"""`airdock completion`: the script that makes a shell complete commands, flags and names."""

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    Names of images, containers and runs are completed too.

    \b
    Examples:
      eval "$(airdock completion bash)"                                  # in ~/.bashrc
      eval "$(airdock completion zsh)"                                   # in ~/.zshrc
      airdock completion fish > ~/.config/fish/completions/airdock.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    root = ctx.find_root()
    click.echo(made(root.command, {}, "airdock", "_AIRDOCK_COMPLETE").source())
