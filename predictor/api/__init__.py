"""The Python API that `import sincos` shows: its parts, which the commands are built on, too."""
