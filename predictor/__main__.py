"""Entry of `sincos`, and of `python -m predictor`: signals find their handler before slow imports begin."""

from predictor.early_exit import leave_at_once_on_signals
from predictor.standard_streams import make_usable


def main() -> None:
    """Run the command line."""
    leave_at_once_on_signals()
    make_usable()
    from predictor.cli import main as run_cli

    run_cli()


if __name__ == "__main__":
    main()
