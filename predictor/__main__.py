"""`python -m predictor` is `sincos`."""

from predictor.cli import main

if __name__ == "__main__":
    main()
