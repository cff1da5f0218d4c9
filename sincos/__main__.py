"""`python -m sincos COMMAND`: the command line, as `sincos COMMAND`."""

from predictor.__main__ import main

if __name__ == "__main__":
    main()
